# outcry completion bash
_outcry() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}" words=""
  local one="${COMP_WORDS[1]}" two="${COMP_WORDS[1]} ${COMP_WORDS[2]}" name
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "intent quote events webhook node dlq token keys api-key invite doctor bench completion" -- "$current"))
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ] && [ "${current#-}" = "$current" ]; then
    case "$one" in
    intent) words="send get tail explain timeline amend cancel" ;;
    quote) words="ls" ;;
    events) words="tail" ;;
    webhook) words="ls create attempts test recover rotate-secret rm" ;;
    node) words="ls inspect suspend resume top" ;;
    dlq) words="ls groups show discard replay replays" ;;
    token) words="gen inspect" ;;
    keys) words="gen jwks ls rotate revoke" ;;
    api-key) words="create ls revoke" ;;
    invite) words="create" ;;
    bench) words="compare" ;;
    completion) words="bash zsh fish" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    return
  fi
  case "$two" in
    "intent send") name="$two" ;;
    "intent get") name="$two" ;;
    "intent tail") name="$two" ;;
    "intent explain") name="$two" ;;
    "intent timeline") name="$two" ;;
    "intent amend") name="$two" ;;
    "intent cancel") name="$two" ;;
    "quote ls") name="$two" ;;
    "events tail") name="$two" ;;
    "webhook ls") name="$two" ;;
    "webhook create") name="$two" ;;
    "webhook attempts") name="$two" ;;
    "webhook test") name="$two" ;;
    "webhook recover") name="$two" ;;
    "webhook rotate-secret") name="$two" ;;
    "webhook rm") name="$two" ;;
    "node ls") name="$two" ;;
    "node inspect") name="$two" ;;
    "node suspend") name="$two" ;;
    "node resume") name="$two" ;;
    "node top") name="$two" ;;
    "dlq ls") name="$two" ;;
    "dlq groups") name="$two" ;;
    "dlq show") name="$two" ;;
    "dlq discard") name="$two" ;;
    "dlq replay") name="$two" ;;
    "dlq replays") name="$two" ;;
    "token gen") name="$two" ;;
    "token inspect") name="$two" ;;
    "keys gen") name="$two" ;;
    "keys jwks") name="$two" ;;
    "keys ls") name="$two" ;;
    "keys rotate") name="$two" ;;
    "keys revoke") name="$two" ;;
    "api-key create") name="$two" ;;
    "api-key ls") name="$two" ;;
    "api-key revoke") name="$two" ;;
    "invite create") name="$two" ;;
    "bench compare") name="$two" ;;
    *) name="$one" ;;
  esac
  case "$name $previous" in
    "node ls --status") words="active suspended" ;;
    "dlq ls --kind") words="delivery message" ;;
    "dlq ls --status") words="open discarded replayed recovered" ;;
    "dlq groups --by") words="cause node version" ;;
    "dlq groups --kind") words="delivery message" ;;
    "dlq groups --status") words="open discarded replayed recovered" ;;
    "dlq replay --kind") words="delivery message" ;;
    "dlq replay --status") words="open discarded replayed recovered" ;;
    "dlq replays --action") words="pause resume cancel" ;;
    "api-key create --role") words="backend operator admin" ;;
    *) case "$name" in
      "intent send") words="--file --query --category --quantity --currency --region --budget-minor --window-ms --target --buyer --idempotency-key --wait --timeout-ms --url --gateway-url --key --json --help" ;;
      "intent get") words="--url --gateway-url --key --json --help" ;;
      "intent tail") words="--cursor --follow --url --gateway-url --key --json --help" ;;
      "intent explain") words="--node --url --gateway-url --key --json --help" ;;
      "intent timeline") words="--node --limit --cursor --url --gateway-url --key --json --help" ;;
      "intent amend") words="--file --budget-minor --no-budget --description --window-ms --expected-revision --idempotency-key --url --gateway-url --key --json --help" ;;
      "intent cancel") words="--reason --url --gateway-url --key --json --help" ;;
      "quote ls") words="--wait --timeout-ms --url --gateway-url --key --json --help" ;;
      "events tail") words="--after --type --count --url --gateway-url --key --json --help" ;;
      "webhook ls") words="--url --gateway-url --key --json --help" ;;
      "webhook create") words="--type --description --paused --url --gateway-url --key --json --help" ;;
      "webhook attempts") words="--limit --url --gateway-url --key --json --help" ;;
      "webhook test") words="--url --gateway-url --key --json --help" ;;
      "webhook recover") words="--since --url --gateway-url --key --json --help" ;;
      "webhook rotate-secret") words="--url --gateway-url --key --json --help" ;;
      "webhook rm") words="--dry-run --url --gateway-url --key --json --help" ;;
      "node ls") words="--status --limit --cursor --url --gateway-url --key --json --help" ;;
      "node inspect") words="--url --gateway-url --key --json --help" ;;
      "node suspend") words="--reason --url --gateway-url --key --json --help" ;;
      "node resume") words="--url --gateway-url --key --json --help" ;;
      "node top") words="--backend --from-start --once --interval-ms --url --gateway-url --key --json --help" ;;
      "dlq ls") words="--kind --cause --node --intent --stream --since --until --status --limit --cursor --url --gateway-url --key --json --help" ;;
      "dlq groups") words="--by --kind --cause --node --intent --stream --since --until --status --cursor --url --gateway-url --key --json --help" ;;
      "dlq show") words="--url --gateway-url --key --json --help" ;;
      "dlq discard") words="--reason --dry-run --url --gateway-url --key --json --help" ;;
      "dlq replay") words="--kind --cause --node --intent --stream --since --until --status --id --all --rate --reason --dry-run --detach --url --gateway-url --key --json --help" ;;
      "dlq replays") words="--id --action --reason --limit --cursor --url --gateway-url --key --json --help" ;;
      "token gen") words="--buyer --channel --ttl-ms --url --gateway-url --key --json --help" ;;
      "token inspect") words="--channel --offline --url --gateway-url --key --json --help" ;;
      "keys gen") words="--url --gateway-url --key --json --help" ;;
      "keys jwks") words="--url --gateway-url --key --json --help" ;;
      "keys ls") words="--url --gateway-url --key --json --help" ;;
      "keys rotate") words="--lead-ms --dry-run --url --gateway-url --key --json --help" ;;
      "keys revoke") words="--dry-run --url --gateway-url --key --json --help" ;;
      "api-key create") words="--role --name --backend --url --gateway-url --key --json --help" ;;
      "api-key ls") words="--url --gateway-url --key --json --help" ;;
      "api-key revoke") words="--url --gateway-url --key --json --help" ;;
      "invite create") words="--name --ttl-ms --url --gateway-url --key --json --help" ;;
      "doctor") words="--nats-url --nats-auth-dir --nats-creds --nats-monitor-url --nats-ca --redis-url --data-dir --creds --replicas --region --url --gateway-url --key --json --help" ;;
      "bench") words="--rate --duration --file --query --category --quantity --currency --region --budget-minor --window-ms --target --save --dry-run --url --gateway-url --key --json --help" ;;
      "bench compare") words="--slower-by --url --gateway-url --key --json --help" ;;
      "completion") words="--url --gateway-url --key --json --help" ;;
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _outcry outcry
