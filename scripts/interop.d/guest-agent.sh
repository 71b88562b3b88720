# Serves commands that the driver sends over a virtio serial port.
#
#   sh guest-agent.sh PORT DIRECTORY       where the commands run
#
# A request is one line, "ID COMMAND…". The answer is one line, "DONE ID STATUS SIZE", and SIZE octets of output.

until [ -e "$1" ]; do sleep 0.1; done
exec 3<>"$1"
mkdir -p "$2" && cd "$2" || exit
echo "DONE 0 0 0" >&3
while read -r id command <&3; do
    sh -c "$command" >output 2>&1 </dev/null 3>&-
    status=$?
    echo "DONE $id $status $(stat -c %s output)" >&3
    cat output >&3
done
