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


ops = {
  "add": lambda i, argument: netns.create("b%d" % i),
  "delete": lambda i, argument: netns.remove("b%d" % i),
  "list": list_ids,
  "exec": execute,
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
