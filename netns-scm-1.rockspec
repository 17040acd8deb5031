rockspec_format = "3.0"
package = "netns"
version = "scm-1"

source = {
  url = "git+https://github.com/netns/netns.git",
}

description = {
  summary = "Network namespaces, as `ip netns` has them, in process",
  detailed = [[
Everything that `ip netns` does as a library: names under /run/netns, ids,
programs in a namespace with its files of /etc, a monitor, all of them at once.
In process, nothing left behind, errors as values.]],
  homepage = "https://github.com/netns/netns",
  license = "MIT",
  labels = { "network", "namespace", "linux", "netlink" },
}

supported_platforms = { "linux" }

dependencies = {
  "lua >= 5.1, < 5.5",
}

external_dependencies = {
  LIBNL = { header = "libnl3/netlink/netlink.h", library = "nl-3" },
}

build = {
  type = "builtin",
  modules = {
    netns = {
      sources = {
        "csrc/addr.c",
        "csrc/await.c",
        "csrc/child.c",
        "csrc/core.c",
        "csrc/dir.c",
        "csrc/drop.c",
        "csrc/enter.c",
        "csrc/events.c",
        "csrc/fields.c",
        "csrc/gate.c",
        "csrc/handle.c",
        "csrc/icmp.c",
        "csrc/ids.c",
        "csrc/ip.c",
        "csrc/keeper.c",
        "csrc/lifeline.c",
        "csrc/link.c",
        "csrc/link_fields.c",
        "csrc/list.c",
        "csrc/log.c",
        "csrc/names.c",
        "csrc/neigh.c",
        "csrc/process.c",
        "csrc/procs.c",
        "csrc/raise.c",
        "csrc/route.c",
        "csrc/qdisc.c",
        "csrc/qdisc_kinds.c",
        "csrc/rootless.c",
        "csrc/rtnl.c",
        "csrc/rule.c",
        "csrc/sockets.c",
        "csrc/spawn.c",
        "csrc/stream.c",
        "csrc/units.c",
        "csrc/tun.c",
        "csrc/util.c",
        "csrc/vrf.c",
        "csrc/watch.c",
      },
      defines = { "_GNU_SOURCE" },
      incdirs = { "$(LIBNL_INCDIR)/libnl3" },
      libdirs = { "$(LIBNL_LIBDIR)" },
      libraries = { "nl-3" },
    },
    ["netns.init"] = "lua/netns/init.lua",
    ["netns.all"] = "lua/netns/all.lua",
    ["netns.check"] = "lua/netns/check.lua",
    ["netns.ids"] = "lua/netns/ids.lua",
    ["netns.inside"] = "lua/netns/inside.lua",
    ["netns.links"] = "lua/netns/links.lua",
    ["netns.log"] = "lua/netns/log.lua",
    ["netns.monitor"] = "lua/netns/monitor.lua",
    ["netns.names"] = "lua/netns/names.lua",
    ["netns.ping"] = "lua/netns/ping.lua",
    ["netns.process"] = "lua/netns/process.lua",
    ["netns.programs"] = "lua/netns/programs.lua",
    ["netns.qdiscs"] = "lua/netns/qdiscs.lua",
    ["netns.queue"] = "lua/netns/queue.lua",
    ["netns.signals"] = "lua/netns/signals.lua",
    ["netns.rules"] = "lua/netns/rules.lua",
    ["netns.sockets"] = "lua/netns/sockets.lua",
    ["netns.topology"] = "lua/netns/topology.lua",
    ["netns.topology.addresses"] = "lua/netns/topology/addresses.lua",
    ["netns.topology.build"] = "lua/netns/topology/build.lua",
    ["netns.topology.compare"] = "lua/netns/topology/compare.lua",
    ["netns.topology.dot"] = "lua/netns/topology/dot.lua",
    ["netns.topology.drawing"] = "lua/netns/topology/drawing.lua",
    ["netns.topology.effects"] = "lua/netns/topology/effects.lua",
    ["netns.topology.eventually"] = "lua/netns/topology/eventually.lua",
    ["netns.topology.format"] = "lua/netns/topology/format.lua",
    ["netns.topology.ip"] = "lua/netns/topology/ip.lua",
    ["netns.topology.lab"] = "lua/netns/topology/lab.lua",
    ["netns.topology.layout"] = "lua/netns/topology/layout.lua",
    ["netns.topology.layout_boxes"] = "lua/netns/topology/layout_boxes.lua",
    ["netns.topology.layout_core"] = "lua/netns/topology/layout_core.lua",
    ["netns.topology.layout_labels"] = "lua/netns/topology/layout_labels.lua",
    ["netns.topology.layout_stress"] = "lua/netns/topology/layout_stress.lua",
    ["netns.topology.layout_tiers"] = "lua/netns/topology/layout_tiers.lua",
    ["netns.topology.layout_tree"] = "lua/netns/topology/layout_tree.lua",
    ["netns.topology.link"] = "lua/netns/topology/link.lua",
    ["netns.topology.mermaid"] = "lua/netns/topology/mermaid.lua",
    ["netns.topology.model"] = "lua/netns/topology/model.lua",
    ["netns.topology.node"] = "lua/netns/topology/node.lua",
    ["netns.topology.order"] = "lua/netns/topology/order.lua",
    ["netns.topology.plan"] = "lua/netns/topology/plan.lua",
    ["netns.topology.reach"] = "lua/netns/topology/reach.lua",
    ["netns.topology.routes"] = "lua/netns/topology/routes.lua",
    ["netns.topology.sh"] = "lua/netns/topology/sh.lua",
    ["netns.topology.svg"] = "lua/netns/topology/svg.lua",
    ["netns.topology.sysctls"] = "lua/netns/topology/sysctls.lua",
    ["netns.rootless"] = "lua/netns/rootless.lua",
    ["netns.watch"] = "lua/netns/watch.lua",
  },
}
