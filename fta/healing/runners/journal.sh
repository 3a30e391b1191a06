# The journal of scripts, kept by the host on which they run. One text for every host, this machine included; POSIX sh.
#
# Called as: sh -c 'eval "$1"' fta-journal TEXT ROOT VERB ARGUMENT...     TEXT is this file, ROOT the folder of the journal:
#   open NEW                        make ROOT unless it is there; its identity becomes NEW; drop entries older than 30 days
#   start ID ENTRY SECONDS          begin the script that comes on standard input, unless ENTRY exists; then as `read` from 0
#   read ID ENTRY OFFSET            what is known of ENTRY, and its output from byte OFFSET on
#   ask ID ENTRY OFFSET             as `read`; an entry that has not begun by now never will
#   stop ID ENTRY OFFSET            as `ask`; a script that runs is ended first
#   close ID ENTRY                  drop the output; that the script ran and how it ended stays
# ID must be the identity of ROOT: what another folder does not know of says nothing.
#
# Answers `fta-journal WORD VALUE...` and a newline; behind it, for `start`, `read`, `ask` and `stop`, two pieces of output.
#
# Of one ENTRY at most one script begins, whoever asks for it and however often: mkdir makes the entry, and the link `go` in it
# is made by the one who lets the script begin or by the one who has found that it shall not; both are atomic. The exit code is
# written by a keeper in a session of its own, which a dropped connection or a dead worker does not end, and which keeps the time.
set -u
umask 077
wrapper=$1 root=$2 verb=$3
id=${4-} name=${5-} number=${6-0}
case $root in /*) ;; *) root=${HOME:?}/$root ;; esac
home=$root/$name
HEAD_BYTES=130048 TAIL_BYTES=130048 LIVE_BYTES=16384 PIECE=65536 OLD_DAYS=30

say() { printf 'fta-journal %s\n' "$*"; }
refuse() { say refused "$*"; exit 0; }
nap() { sleep "$1" 2>/dev/null || sleep 1; }
size() { if [ -e "$1" ]; then echo $(($(wc -c <"$1"))); else echo 0; fi; }
boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo unknown; }

# When process $1 began, in ticks since the start of the machine; nothing for one that is gone. With the boot it names a process.
born() {
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  stat=${stat##*) }
  case $stat in Z* | X*) return 0 ;; esac
  set -- $stat
  echo "${20}"
}

# pending (made, not begun), running, never (will not begin), lost (nobody will say), or what the keeper wrote:
# `ended CODE`, `timeout CODE`, `stopped CODE`.
state() {
  [ -e "$home/rc" ] && { cat "$home/rc"; return; }
  [ -e "$home/go" ] || { echo pending 0; return; }
  read -r pid machine ticks <"$home/go"
  if [ "$pid" = never ]; then echo never 0
  elif [ "$machine" = "$(boot)" ] && [ "$(born "$pid")" = "$ticks" ]; then echo running 0
  elif [ -e "$home/rc" ]; then cat "$home/rc" # it ended between the two looks
  else echo lost 0
  fi
}

# Waits a second at most for the end, so that a short script needs one answer and a long one is not asked for all the time.
report() {
  for pause in 0.01 0.02 0.04 0.08 0.15 0.3 0.4 0; do
    now=$(state)
    case $now in running* | pending*) [ "$pause" = 0 ] || nap "$pause" ;; *) break ;; esac
  done
  begun=$(size "$home/head") part=0 tail=0 total=$begun
  [ -e "$home/total" ] && read -r total <"$home/total"
  [ "$begun" -gt "$number" ] && part=$((begun - number))
  if [ "${total:=$begun}" -gt "$begun" ]; then
    case $now in running*) tail=$LIVE_BYTES ;; *) tail=$TAIL_BYTES ;; esac
    [ "$tail" -gt $((total - begun)) ] && tail=$((total - begun))
  fi
  say $now "$part" "$total"
  [ "$part" -eq 0 ] || tail -c "+$((number + 1))" "$home/head" | head -c "$part"
  [ "$tail" -eq 0 ] || cat "$home/tail.old" "$home/tail" 2>/dev/null | tail -c "$tail"
}

burn() {
  mkdir "$home" 2>/dev/null
  echo never 0 0 >"$home/never" && ln "$home/never" "$home/go" 2>/dev/null
}

open() {
  for tool in setsid base64 mkfifo dd; do command -v $tool >/dev/null || refuse "$tool is missing on this host"; done
  [ -r /proc/self/stat ] || refuse "/proc is missing on this host"
  if [ ! -d "$root" ]; then mkdir -p "$root" || refuse "cannot make $root"; fi
  [ -O "$root" ] && chmod 700 "$root" || refuse "$root belongs to somebody else"
  if [ ! -e "$root/id" ]; then
    echo "$id" >"$root/id.$$" && ln "$root/id.$$" "$root/id"
    rm -f "$root/id.$$"
  fi
  read -r id <"$root/id" || refuse "cannot write to $root"
  find "$root" -mindepth 1 -maxdepth 1 -type d -mtime "+$OLD_DAYS" -exec rm -rf {} + 2>/dev/null
  say open "$id"
}

# Each line is the name of a file and its content in base64; the line `end` proves that all have come: `script`, `input` (its
# standard input), `command` (the words that run it, a line each), `env/NAME` and, for a host that must be kept clear of what
# scripts leave behind or use up, `contained`.
unpack() {
  mkdir "$1" "$1/env" || return 1
  while read -r file data; do
    [ "$file" = end ] && return 0
    printf %s "$data" | base64 -d >"$1/$file" || return 1
  done
  return 1
}

start() {
  new=$root/.$name.$$
  unpack "$new" || { rm -rf "$new"; refuse "the script did not arrive whole, or cannot be written to $root"; }
  if mkdir "$home" 2>/dev/null; then
    mv "$new"/* "$home"/ || { burn; refuse "cannot write to $root"; }
    setsid /bin/sh -c 'eval "$1"' fta-journal "$wrapper" "$root" keep "$id" "$name" "$number" </dev/null >/dev/null 2>&1 &
  elif [ ! -d "$home" ]; then
    rm -rf "$new"
    refuse "cannot write to $root"
  fi
  rm -rf "$new"
  number=0
  report
}

# The keeper leads a group of its own: itself, the clock and the collector. The script leads another.
keep() {
  cd "$home" || exit
  echo "$$ $(boot) $(born $$)" >keeper && ln keeper go || exit
  mkdir cwd && mkfifo said || exit
  collect <said &
  setsid env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME="${HOME:-/}" \
    /bin/sh -c 'eval "$1"' fta-journal "$wrapper" "$root" run "$id" "$name" "$number" >said 2>&1 &
  script=$!
  { sleep "$number"; finish timeout; } >/dev/null 2>&1 &
  wait "$script"
  code=$?
  [ -e contained ] && kill -KILL "-$script" 2>/dev/null # whatever it has left in its group
  for pause in 0.01 0.05 0.1 0.2 0.4; do [ -e drained ] || nap "$pause"; done
  why=ended
  [ -e why ] && read -r why <why && kill -KILL "-$script" 2>/dev/null
  echo "$why $code" >rc.new && mv rc.new rc
  rm -rf script env input command cwd said piece drained group keeper contained
  kill -KILL 0
}

# Ends the script of this entry; $1 says why. It has a moment to end by itself.
finish() {
  [ -e "$home/rc" ] && return
  [ -e "$home/why" ] || { echo "$1" >"$home/why.$1" && ln "$home/why.$1" "$home/why"; } 2>/dev/null
  group=$(cat "$home/group" 2>/dev/null) || return
  kill -TERM "-$group" 2>/dev/null
  for pause in 0.1 0.2 0.3 0.4 1; do
    [ -e "$home/rc" ] || ! kill -0 "-$group" 2>/dev/null && return
    nap "$pause"
  done
  [ -e "$home/rc" ] || kill -KILL "-$group" 2>/dev/null
}

# The first bytes and about the last, piece by piece; what is between them is counted and dropped.
collect() {
  total=0 last=0
  while dd bs=$PIECE count=1 of=piece 2>/dev/null && [ -s piece ]; do
    got=$(size piece)
    if [ "$total" -lt "$HEAD_BYTES" ]; then cat piece >>head
    else
      cat piece >>tail
      echo $((total + got)) >total
      last=$((last + got))
      [ "$last" -lt "$TAIL_BYTES" ] || { mv tail tail.old; last=0; }
    fi
    total=$((total + got))
  done
  : >drained
  cat >/dev/null # a full disk must not stall the script
}

run() {
  cd "$home" && echo $$ >group || exit 125
  [ -e why ] && exit 125 # stopped before it began
  for file in env/*; do
    [ -e "$file" ] || continue
    value=$(cat "$file" && echo .)
    export "${file#env/}=${value%.}"
  done
  set --
  while IFS= read -r word; do set -- "$@" "$word"; done <command
  exec <input || exit 125
  rm -rf env input command # what is secret is gone from the disk before the script begins
  if [ -e contained ]; then
    ulimit -c 0
    ulimit -n 256
    ulimit -v 2097152
    ulimit -f 2097152
  fi
  umask 022
  cd cwd || exit 125
  unset PWD OLDPWD
  exec "$@" "$home/script"
}

case $verb in
open) open; exit ;;
keep | run) $verb; exit ;;
esac
[ "$(cat "$root/id" 2>/dev/null)" = "$id" ] || { say foreign; exit 0; }
case $verb in
start) start ;;
read) report ;;
ask) burn; report ;;
stop) burn; case $(state) in running*) finish stopped ;; esac; report ;;
close)
  case $(state) in running* | pending*) ;; *) rm -f "$home/head" "$home/tail" "$home/tail.old" "$home/total" ;; esac
  say closed
  ;;
esac
