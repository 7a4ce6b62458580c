_vulcan_completion() {
    local IFS=$'\n'
    COMPREPLY=( $( env COMP_WORDS="${COMP_WORDS[*]}" \
                   COMP_CWORD=$COMP_CWORD \
                   COMP_TYPE=$COMP_TYPE \
                   _VULCAN_COMPLETE=complete_bash $1 ) )
    return 0
}

complete -o default -F _vulcan_completion vulcan
