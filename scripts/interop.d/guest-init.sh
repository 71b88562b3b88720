#!/bin/busybox sh
# The guest's init: loads the modules, then serves commands that the driver sends over a virtio serial port.
#
# A request is one line, "ID COMMAND…". The answer is one line, "DONE ID STATUS SIZE", and SIZE octets of output.

bb=/bin/busybox
$bb mkdir -p /proc /sys /dev /tmp /run
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

until [ -e /dev/vport0p1 ]; do sleep 0.1; done
exec 3<>/dev/vport0p1
echo "DONE 0 0 0" >&3
while read -r id command <&3; do
    sh -c "$command" >/tmp/output 2>&1 </dev/null 3>&-
    status=$?
    echo "DONE $id $status $(stat -c %s /tmp/output)" >&3
    cat /tmp/output >&3
done
poweroff -f
