// peers.go: vishvananda/netns and netlink, driven as worker.h says.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "go:", err)
		os.Exit(1)
	}
}

func add(i int, argument string) {
	home, err := netns.Get()
	must(err)
	ns, err := netns.NewNamed("b" + strconv.Itoa(i))
	must(err)
	must(netns.Set(home)) // NewNamed stays inside
	ns.Close()
	home.Close()
}

func remove(i int, argument string) {
	must(netns.DeleteNamed("b" + strconv.Itoa(i)))
}

var target = netns.None()

func enter(i int, name string) {
	if i == 0 {
		target.Close()
		ns, err := netns.GetFromPath("/run/netns/" + name)
		must(err)
		target = ns
	}
	home, err := netns.Get()
	must(err)
	must(netns.Set(target))
	must(netns.Set(home))
	home.Close()
}

// What a lab holds open.
type place struct {
	ns     netns.NsHandle
	handle *netlink.Handle
}

var lab []place
var bridge *netlink.Bridge

func newPlace(home netns.NsHandle) place {
	ns, err := netns.New()
	must(err)
	must(netns.Set(home)) // New stays inside
	handle, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	must(err)
	lab = append(lab, place{ns, handle})
	return lab[len(lab)-1]
}

func named(name string) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	attrs.Flags = net.FlagUp
	return attrs
}

func addHost(i int, argument string) {
	home, err := netns.Get()
	must(err)
	defer home.Close()
	if i == 0 {
		bridge = &netlink.Bridge{LinkAttrs: named("br0")}
		must(newPlace(home).handle.LinkAdd(bridge))
	}
	lan, host := lab[0].handle, newPlace(home)
	port := &netlink.Veth{
		LinkAttrs:     named("p" + strconv.Itoa(i)),
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(host.ns),
	}
	port.MasterIndex = bridge.Index
	must(lan.LinkAdd(port))
	eth0, err := host.handle.LinkByName("eth0")
	must(err)
	n := i + 1
	must(host.handle.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{
		IP:   net.IPv4(10, 0, byte(n>>8), byte(n)),
		Mask: net.CIDRMask(16, 32),
	}}))
	must(host.handle.LinkSetUp(eth0))
}

func closeHost(i int, argument string) {
	for _, place := range lab {
		place.handle.Delete()
		place.ns.Close()
	}
	lab = nil
}

func main() {
	runtime.LockOSThread()
	ops := map[string]func(int, string){
		"add": add, "delete": remove, "enter": enter,
		"lab": addHost, "lab-down": closeHost,
	}
	fmt.Println("ready")
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		words := strings.Fields(input.Text() + " -")
		run := ops[words[0]]
		count, err := strconv.Atoi(words[1])
		must(err)
		start := time.Now()
		for i := 0; i < count; i++ {
			run(i, words[2])
		}
		fmt.Printf("%.3f 0\n",
			float64(time.Since(start).Nanoseconds())/1e3/float64(count))
	}
}
