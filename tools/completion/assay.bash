# bash completion for assay. The words come from the program's own --help, so they are never out of date.
_assay() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" word
  local -a path=()
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) break ;;
      *) "${COMP_WORDS[0]}" "${path[@]}" "$word" --help >/dev/null 2>&1 && path+=("$word") || break ;;
    esac
  done
  case "$previous" in
    --json | --html | --series | --steps) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  local help
  help="$("${COMP_WORDS[0]}" "${path[@]}" --help 2>/dev/null)" || return
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$(grep -oE '(^| |,)--[a-z][a-z0-9-]*' <<<"$help" | tr -d ' ,' | sort -u)" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$(sed -n '/^Subcommands:/,/^$/s/^  \([a-z][a-z0-9-]*\).*/\1/p' <<<"$help")" -- "$current"))
    COMPREPLY+=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _assay assay
