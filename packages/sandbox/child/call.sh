# The candidate's side of tests in Bash: its program in a process of its own, for one call. Traps, aliases, functions and options
# that it sets are set here alone. Arguments: whether its variables stay for the next call (1 or empty), the names of those that the
# tests read, separated by spaces, the function, its arguments.
posttrain_stays=$1 posttrain_names=$2
posttrain_call=("${@:3}")
set --
. /sandbox/candidate.sh > /dev/null 2>&1 < /dev/null
[[ -s /tmp/.posttrain-state ]] && . /tmp/.posttrain-state 2> /dev/null
"${posttrain_call[@]}"
posttrain_status=$?
if [[ -n $posttrain_stays ]]; then
  for posttrain_name in $(compgen -A variable); do
    [[ $posttrain_name == posttrain_* ]] || declare -p "$posttrain_name"
  done > /tmp/.posttrain-state
  for posttrain_name in $posttrain_names; do
    declare -n posttrain_variable=$posttrain_name
    printf '%s\0' "${#posttrain_variable[@]}" "${posttrain_variable[@]}"
    unset -n posttrain_variable
  done > /tmp/.posttrain-values
fi
exit "$posttrain_status"
