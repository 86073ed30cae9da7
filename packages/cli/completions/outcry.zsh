#compdef outcry
# outcry completion zsh
_outcry() {
  local -a offered; local one="${words[2]}" two="${words[2]} ${words[3]}" name
  if (( CURRENT == 2 )); then
    offered=(
    'intent:send, get, tail, explain, timeline, amend, cancel'
    'quote:ls'
    'events:tail'
    'webhook:ls, create, attempts, test, recover, rotate-secret, rm'
    'node:ls, inspect, suspend, resume, top'
    'dlq:ls, groups, show, discard, replay, replays'
    'token:gen, inspect'
    'keys:gen, jwks, ls, rotate, revoke'
    'api-key:create, ls, revoke'
    'invite:create'
    'doctor:Check a deployment: versions, durability, clock, ports, keys, streams'
    'bench:Post intents at a rate and measure: answers, first and last ack'
    'completion:A completion script for your shell'
    )
    _describe command offered; return
  fi
  if (( CURRENT == 3 )) && [[ "${words[3]}" != -* ]]; then
  case "$one" in
  intent) offered=(
    'send:Broadcast a purchase intent'
    'get:Where an intent stands'
    'tail:Follow an intent'\''s events until it has ended'
    'explain:Why a node was asked, or was not'
    'timeline:What happened to an intent, stage by stage and node by node'
    'amend:Amend an open intent; the same nodes get it anew'
    'cancel:Cancel an intent; its nodes are told'
  ) ;;
  quote) offered=(
    'ls:Ranked quotes of an intent'
  ) ;;
  events) offered=(
    'tail:Follow your backend'\''s events, from a cursor on'
  ) ;;
  webhook) offered=(
    'ls:Your webhooks, oldest first'
    'create:Have events sent to a URL, from now on; its secret is shown once'
    'attempts:The last attempts of a webhook, newest first'
    'test:Send a signed WEBHOOK_TEST now, and tell what came back'
    'recover:Send everything since a time again, under the same ids'
    'rotate-secret:A new secret, shown once; the one before it signs for a day, too'
    'rm:Delete a webhook and its place in the log'
  ) ;;
  node) offered=(
    'ls:Registered nodes'
    'inspect:All that is registered about a node'
    'suspend:Cut a node off; holds until it is resumed'
    'resume:Let a suspended node in again'
    'top:Acks, quotes, silence and ack latency per node, live'
  ) ;;
  dlq) offered=(
    'ls:Dead letters, newest first'
    'groups:Dead letters counted by cause, node or version'
    'show:One dead letter: its timeline, its payload, what was done about it'
    'discard:Set a dead letter aside for good; it stays readable'
    'replay:Send dead letters again at a rate: the dry run first, then a bar'
    'replays:Replays, newest first; --id with an action pauses, resumes or cancels one'
  ) ;;
  token) offered=(
    'gen:Make a short token for a buyer'\''s browser'
    'inspect:What a token may, until when, and why not more'
  ) ;;
  keys) offered=(
    'gen:Make a signing key in a file that you alone can read'
    'jwks:The keys that the service publishes'
    'ls:The service'\''s signing keys: next, signing, retiring, revoked'
    'rotate:New signing keys at every process: published now, signing later; old ones go on verifying'
    'revoke:Revoke a lost signing key: nothing that it signed verifies any more'
  ) ;;
  api-key) offered=(
    'create:Make an API key; its secret is shown once'
    'ls:API keys, without their secrets'
    'revoke:Revoke an API key'
  ) ;;
  invite) offered=(
    'create:Invite one node to register itself'
  ) ;;
  bench) offered=(
    'compare:Two saved runs side by side'
  ) ;;
  completion) offered=(bash zsh fish) ;;
  esac
  _describe verb offered; return
  fi
  case "$two" in
  'intent send') name="$two" ;;
  'intent get') name="$two" ;;
  'intent tail') name="$two" ;;
  'intent explain') name="$two" ;;
  'intent timeline') name="$two" ;;
  'intent amend') name="$two" ;;
  'intent cancel') name="$two" ;;
  'quote ls') name="$two" ;;
  'events tail') name="$two" ;;
  'webhook ls') name="$two" ;;
  'webhook create') name="$two" ;;
  'webhook attempts') name="$two" ;;
  'webhook test') name="$two" ;;
  'webhook recover') name="$two" ;;
  'webhook rotate-secret') name="$two" ;;
  'webhook rm') name="$two" ;;
  'node ls') name="$two" ;;
  'node inspect') name="$two" ;;
  'node suspend') name="$two" ;;
  'node resume') name="$two" ;;
  'node top') name="$two" ;;
  'dlq ls') name="$two" ;;
  'dlq groups') name="$two" ;;
  'dlq show') name="$two" ;;
  'dlq discard') name="$two" ;;
  'dlq replay') name="$two" ;;
  'dlq replays') name="$two" ;;
  'token gen') name="$two" ;;
  'token inspect') name="$two" ;;
  'keys gen') name="$two" ;;
  'keys jwks') name="$two" ;;
  'keys ls') name="$two" ;;
  'keys rotate') name="$two" ;;
  'keys revoke') name="$two" ;;
  'api-key create') name="$two" ;;
  'api-key ls') name="$two" ;;
  'api-key revoke') name="$two" ;;
  'invite create') name="$two" ;;
  'bench compare') name="$two" ;;
  *) name="$one" ;;
  esac
  case "$name" in
  'intent send') offered=(
    '--file:the request as JSON; - reads it from standard input'
    '--query:what is wanted, in place of --file'
    '--category:category of the item'
    '--quantity:how many; 1 by default'
    '--currency:ISO 4217; EUR by default'
    '--region:ISO 3166, for example DE'
    '--budget-minor:most to pay, in minor units'
    '--window-ms:how long quotes are taken'
    '--target:only this node; may be repeated'
    '--buyer:the buyer'\''s id, never sent to a node'
    '--idempotency-key:made up when absent; repeat it to repeat the same intent'
    '--wait:follow it to its end: a line per node, then the ranked quotes'
    '--timeout-ms:with --wait: give up after; its deadline and 10 s by default'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent get') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent tail') offered=(
    '--cursor:resume behind it instead of from the start'
    '--follow:go on after the end'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent explain') offered=(
    '--node:the node in question'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent timeline') offered=(
    '--node:this node alone'
    '--limit:how many at most'
    '--cursor:go on where the page before ended'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent amend') offered=(
    '--file:what changes, as JSON; - reads it from standard input'
    '--budget-minor:most to pay from now on, in minor units'
    '--no-budget:no limit any more'
    '--description:in place of the standing one'
    '--window-ms:how long quotes are taken from now on'
    '--expected-revision:refuse when it is at another one'
    '--idempotency-key:made up when absent; repeat it to repeat the same amendment'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'intent cancel') offered=(
    '--reason:told to the nodes'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'quote ls') offered=(
    '--wait:wait for n quotes, or until the intent has ended'
    '--timeout-ms:how long to wait; 30000 by default'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'events tail') offered=(
    '--after:go on behind it; the oldest event kept by default'
    '--type:only this type of event; may be repeated'
    '--count:end after so many; without it, go on until interrupted'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook ls') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook create') offered=(
    '--type:only this type of event; may be repeated'
    '--description:what it is for'
    '--paused:send nothing until it is enabled'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook attempts') offered=(
    '--limit:how many; 20 by default, at most 100'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook test') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook recover') offered=(
    '--since:RFC 3339, for example 2026-11-20T08:00:00Z'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook rotate-secret') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'webhook rm') offered=(
    '--dry-run:show it, delete nothing'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'node ls') offered=(
    '--status:only these'
    '--limit:how many at most'
    '--cursor:go on where the page before ended'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'node inspect') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'node suspend') offered=(
    '--reason:kept with the node'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'node resume') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'node top') offered=(
    '--backend:of these marketplaces; an admin sees all by default'
    '--from-start:begin with the oldest events kept instead of now'
    '--once:one table of the events kept, then end'
    '--interval-ms:between two tables; 1000 by default'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq ls') offered=(
    '--kind:deliveries that no node answered, or messages that failed'
    '--cause:as dlq groups shows it'
    '--node:of this node'
    '--intent:of this intent'
    '--stream:messages taken from this stream'
    '--since:RFC 3339, or an age such as 90s, 30m, 2h, 7d'
    '--until:the same, the end'
    '--status:only these'
    '--limit:how many at most'
    '--cursor:go on where the page before ended'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq groups') offered=(
    '--by:cause by default'
    '--kind:deliveries that no node answered, or messages that failed'
    '--cause:as dlq groups shows it'
    '--node:of this node'
    '--intent:of this intent'
    '--stream:messages taken from this stream'
    '--since:RFC 3339, or an age such as 90s, 30m, 2h, 7d'
    '--until:the same, the end'
    '--status:only these'
    '--cursor:go on where the page before ended'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq show') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq discard') offered=(
    '--reason:kept with the letter, with who said so'
    '--dry-run:show the letter, discard nothing'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq replay') offered=(
    '--kind:deliveries that no node answered, or messages that failed'
    '--cause:as dlq groups shows it'
    '--node:of this node'
    '--intent:of this intent'
    '--stream:messages taken from this stream'
    '--since:RFC 3339, or an age such as 90s, 30m, 2h, 7d'
    '--until:the same, the end'
    '--status:only these'
    '--id:this letter; may be repeated'
    '--all:every letter that can be sent again, without a filter'
    '--rate:per second; 50 by default'
    '--reason:kept in the replay'\''s audit'
    '--dry-run:count what would be sent, send nothing'
    '--detach:start it and return; follow it with dlq replays'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'dlq replays') offered=(
    '--id:this one, with its audit'
    '--action:with --id'
    '--reason:with --action: kept in its audit'
    '--limit:how many at most'
    '--cursor:go on where the page before ended'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'token gen') offered=(
    '--buyer:the buyer'\''s id'
    '--channel:for example intent:int_…; may be repeated'
    '--ttl-ms:how long it lives; at most 15 minutes'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'token inspect') offered=(
    '--channel:would it open this one? may be repeated'
    '--offline:decode only: do not ask the service for its keys'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'keys gen') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'keys jwks') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'keys ls') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'keys rotate') offered=(
    '--lead-ms:between publishing and signing; 300000 by default, as long as key sets are cached'
    '--dry-run:show the keys there are and when a new one would sign, rotate nothing'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'keys revoke') offered=(
    '--dry-run:show the key, revoke nothing'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'api-key create') offered=(
    '--role:what it may do'
    '--name:what it is for'
    '--backend:another key for this backend'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'api-key ls') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'api-key revoke') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'invite create') offered=(
    '--name:whom it is for'
    '--ttl-ms:how long it is good'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'doctor') offered=(
    '--nats-url:NATS servers, by commas; OUTCRY_NATS_URL or NATS_URL'
    '--nats-auth-dir:with service.creds and system.creds; OUTCRY_NATS_AUTH_DIR'
    '--nats-creds:the service'\''s creds, when there is no such folder'
    '--nats-monitor-url:NATS monitoring; OUTCRY_NATS_MONITOR_URL'
    '--nats-ca:CA of the NATS servers; OUTCRY_NATS_TLS_CA_FILE'
    '--redis-url:Redis; OUTCRY_REDIS_URL or REDIS_URL'
    '--data-dir:the service'\''s data folder: file modes, signing key, creds'
    '--creds:a node'\''s creds: when do they end? may be repeated'
    '--replicas:of the streams; OUTCRY_REPLICAS, else 1'
    '--region:OUTCRY_REGION, else local'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'bench') offered=(
    '--rate:intents per second; 10 by default'
    '--duration:10 by default'
    '--file:the request as JSON; - reads it from standard input'
    '--query:what is wanted, in place of --file'
    '--category:category of the item'
    '--quantity:how many; 1 by default'
    '--currency:ISO 4217; EUR by default'
    '--region:ISO 3166, for example DE'
    '--budget-minor:most to pay, in minor units'
    '--window-ms:how long quotes are taken'
    '--target:only this node; may be repeated'
    '--save:keep the result, for bench compare'
    '--dry-run:say what would be posted, post nothing'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'bench compare') offered=(
    '--slower-by:end with 6 when a p50, p95 or p99 is slower by more'
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  'completion') offered=(
    '--url:the API; OUTCRY_URL, else http://127.0.0.1:7070'
    '--gateway-url:the WebSocket; OUTCRY_GATEWAY_URL, else /v1/ws of the API'
    '--key:API key or token; better in OUTCRY_API_KEY, where no process list shows it'
    '--json:one JSON value a line, as the API has it'
    '--help:this text'
  ) ;;
  esac
  _describe option offered || _files
}
compdef _outcry outcry
