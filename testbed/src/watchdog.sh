#!/bin/sh
# Takes a cluster down once nobody holds the other end of the input any more, however the program that made the cluster ended.
#
#   watchdog.sh FOLDER    reads process ids, one a line: the server that runs now, or 0
folder=$1
trap '' HUP INT TERM

pid=0
while read -r line; do
    pid=$line
done

# An immediate stop rather than a kill: the server then frees its shared memory.
if [ "$pid" != 0 ]; then
    kill -QUIT "$pid"
    for _ in $(seq 100); do
        kill -0 "$pid" || break
        sleep 0.1
    done
    kill -KILL "$pid"
fi

# A server that was killed leaves a piece of shared memory, which this file names.
segment=$(awk 'NR == 7 { print $2 }' "$folder/data/postmaster.pid")
[ -z "$segment" ] || ipcrm -m "$segment"

# What still ends may still write.
for _ in $(seq 100); do
    rm -rf "$folder" && break
    sleep 0.1
done
