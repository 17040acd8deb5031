// peers.go: vishvananda/netns, driven as worker.h says.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netns"
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

func main() {
	runtime.LockOSThread()
	ops := map[string]func(int, string){
		"add": add, "delete": remove, "enter": enter,
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
