# peers.py: pyroute2, driven as worker.h says.
import sys
import time

try:
  from pyroute2 import IPRoute, NSPopen, netns
except ImportError:
  sys.exit(print("python3-pyroute2 is not installed"))

ipr = IPRoute()


def list_ids(i, argument):
  return sum(item["netnsid"] < 0x80000000 for item in ipr.get_netns_info())


def execute(i, program):
  process = NSPopen("n0000", [program])
  status = process.wait()
  process.release()
  return status


# What a lab holds open. NetNS would keep a process for each namespace, this but
# a socket.
lab = []
bridge = 0


def new_place(name, sysctl=None, value=None):
  netns.create(name)
  netns.pushns(name)
  place = IPRoute()
  if sysctl:
    with open("/proc/sys/net/ipv6/conf/" + sysctl, "w") as file:
      file.write(value)
  netns.popns()
  lab.append((name, place))
  return place


def add_port(i, of_bridge=(), of_host=()):
  global bridge
  if i == 0:
    lan = new_place("lan", *of_bridge)
    lan.link("add", ifname="br0", kind="bridge", state="up")
    bridge = lan.link_lookup(ifname="br0")[0]
  lan, name = lab[0][1], "b%d" % i
  host = new_place(name, *of_host)
  lan.link(
    "add", ifname="p%d" % i, kind="veth", state="up", master=bridge,
    peer={"ifname": "eth0", "net_ns_fd": name})
  return host, host.link_lookup(ifname="eth0")[0]


def add_host(i, argument):
  host, eth0 = add_port(i)
  n = i + 1
  host.addr("add", index=eth0, address="10.0.%d.%d" % (n >> 8, n & 255),
            prefixlen=16)
  host.link("set", index=eth0, state="up")


# With what netns.topology gives each host besides.
def add_switch_host(i, argument):
  host, eth0 = add_port(i, ("all/disable_ipv6", "1"),
                        ("default/accept_dad", "0"))
  host.link("set", index=1, state="up")
  host.addr("add", index=eth0, address="10.0.0.%d" % (i + 1), prefixlen=24)
  host.addr("add", index=eth0, address="fd00::%x" % (i + 1), prefixlen=64)
  host.link("set", index=eth0, state="up")


def close_lab(i, argument):
  while lab:
    name, place = lab.pop()
    place.close()
    netns.remove(name)


ops = {
  "add": lambda i, argument: netns.create("b%d" % i),
  "delete": lambda i, argument: netns.remove("b%d" % i),
  "list": list_ids,
  "exec": execute,
  "lab": add_host,
  "lab-down": close_lab,
  "switch": add_switch_host,
  "switch-down": close_lab,
  "identify": lambda i, pid: netns.pid_to_ns(int(pid)) is not None,
}

print("ready", flush=True)
for line in sys.stdin:
  op, count, *argument = line.split()
  run, count, argument = ops[op], int(count), argument[0] if argument else ""
  start = time.perf_counter()
  for i in range(count):
    result = run(i, argument)
  elapsed = time.perf_counter() - start
  print("%.3f %d" % (elapsed * 1e6 / count, result or 0), flush=True)
