# The tests' side in Bash. Functions of the candidate's are asked for in another process (call.sh), so nothing here is its to define. A call
# in this shell, not in a subshell, keeps its variables for the next one, and those that the tests read arrive here.
# Before it: posttrain_functions, posttrain_entry, posttrain_names.
exec 9<&0 < /dev/null
# Commands that tests judge with: the system's, unless the function under test is called so.
posttrain_judges='awk basename bash bc cat cmp comm cut date dc diff dirname egrep env expr false fgrep gawk grep head jq ls md5sum mkdir mktemp
od paste perl python3 rm sed seq sh sha1sum sha256sum sleep sort tail tee test timeout tr true uniq wc xargs xxd'
posttrain_judges=${posttrain_judges//$'\n'/ }
posttrain_call() {
  local stays=1 status
  (( BASH_SUBSHELL )) && stays=
  /bin/bash /sandbox/call.sh "$stays" "$posttrain_names" "$@" 9<&-
  status=$?
  [[ -z $stays || -z $posttrain_names ]] || posttrain_read
  return "$status"
}
posttrain_read() {
  local values at=0 name count
  mapfile -d '' -t values < /tmp/.posttrain-values
  for name in $posttrain_names; do
    count=${values[at]}
    [[ $count =~ ^[0-9]{1,6}$ ]] || return 0
    eval "$name=(\"\${values[@]:at+1:count}\")"
    at=$((at + 1 + count))
  done
}
for posttrain_name in $posttrain_functions; do
  case $(type -t "$posttrain_name") in
    builtin | keyword | function) continue ;;
    file) [[ $posttrain_name == "$posttrain_entry" || " $posttrain_judges " != *" $posttrain_name "* ]] || continue ;;
  esac
  eval "$posttrain_name() { posttrain_call $posttrain_name \"\$@\"; }"
done
unset posttrain_name
[[ -z $posttrain_names ]] || posttrain_call :
set -e
