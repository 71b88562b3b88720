#!/bin/busybox sh
# The guest's init: loads the modules, then gives each network device a namespace of its own, where it is eth0, and the
# namespace an agent that takes commands.

bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /tmp /run /var/run
$bb mount -t proc proc /proc
$bb mount -t sysfs sysfs /sys
$bb mount -t devtmpfs devtmpfs /dev
$bb --install -s /bin
export PATH=/bin

while read -r module; do
    insmod "/modules/$module.ko" || echo "no module $module"
done </modules/order

# A slow guest falls behind; that must show as delay, never as a drop.
echo 20000 >/proc/sys/net/core/netdev_max_backlog
# The default, fq_codel, queues protected frames by the flows inside them, so that they leave out of PN order.
echo pfifo >/proc/sys/net/core/default_qdisc
echo 8388608 >/proc/sys/net/core/rmem_max
echo 8388608 >/proc/sys/net/core/rmem_default

n=0
while [ -e "/sys/class/net/eth$n" ]; do
    /tools/ip netns add "$n"
    /tools/ip link set "eth$n" netns "$n" name eth0
    /tools/ip netns exec "$n" sh /agent "/dev/vport0p$((n + 1))" "/tmp/$n" &
    n=$((n + 1))
done
wait
poweroff -f
