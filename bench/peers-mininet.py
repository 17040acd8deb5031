# peers-mininet.py: mininet, driven as worker.h says. Its hosts have IPv4 only;
# each has a shell, which is how mininet does everything in one.
import sys
import time

try:
  from mininet.log import setLogLevel
  from mininet.net import Mininet
  from mininet.nodelib import LinuxBridge
  from mininet.topo import SingleSwitchTopo
except ImportError:
  sys.exit(print("mininet is not installed"))
import shutil

if not shutil.which("brctl"):
  sys.exit(print("bridge-utils, which mininet needs, is not installed"))

# It would change limits of the whole machine.
Mininet.init = lambda *args: None
setLogLevel("error")

net = None


def make(count):
  global net
  net = Mininet(topo=SingleSwitchTopo(k=count), switch=LinuxBridge,
                controller=None)
  net.start()


def close(count):
  net.stop()


ops = {"switch": make, "switch-down": close}

print("ready", flush=True)
for line in sys.stdin:
  op, count = line.split()[:2]
  start = time.perf_counter()
  ops[op](int(count))
  elapsed = time.perf_counter() - start
  print("%.3f 0" % (elapsed * 1e6 / int(count)), flush=True)
