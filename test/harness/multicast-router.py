"""A multicast router between the interfaces that are named on the command line: what comes in on one of them goes out on
all others, if it has hops left. Uses the kernel's multicast routing (linux/mroute.h); says `ready` and runs until killed."""
import socket
import struct
import sys

MRT_INIT, MRT_ADD_VIF, MRT_ADD_MFC = 200, 202, 204
VIFF_USE_IFINDEX = 8
MAXVIFS = 32
NO_CACHE_ENTRY = 1

kernel = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_IGMP)
kernel.setsockopt(socket.IPPROTO_IP, MRT_INIT, struct.pack("i", 1))
interfaces = sys.argv[1:]
for number, name in enumerate(interfaces):
    # struct vifctl: vif, flags, ttl threshold, rate limit, local interface, remote address
    vif = struct.pack("=HBBIi4s", number, VIFF_USE_IFINDEX, 1, 0, socket.if_nametoindex(name), bytes(4))
    kernel.setsockopt(socket.IPPROTO_IP, MRT_ADD_VIF, vif)
print("ready", flush=True)

while True:
    packet = kernel.recv(65535)
    # struct igmpmsg: a cut IP header with a zero where the protocol stands
    kind, is_message, vif = packet[8], packet[9] == 0, packet[10]
    if not is_message or kind != NO_CACHE_ENTRY:
        continue
    group, source = packet[16:20], packet[12:16]
    thresholds = bytes(1 if n < len(interfaces) and n != vif else 0 for n in range(MAXVIFS))
    # struct mfcctl: origin, group, parent vif, thresholds, four counters
    entry = source + group + struct.pack("=H", vif) + thresholds + bytes(2) + bytes(16)
    kernel.setsockopt(socket.IPPROTO_IP, MRT_ADD_MFC, entry)
