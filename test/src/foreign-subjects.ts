// Subjects that are not node a's business: others' own, the record's, the server's, and wildcards over all of them.

const STREAMS = ["INTENTS", "EVENTS", "QUOTES", "DEAD_LETTERS", "KV_nodes", "KV_access"];

export interface ForeignSubjects {
  publishes: string[];
  subscriptions: string[];
  /** Reply subjects that would turn the service's own answer into something else. */
  replies: string[];
}

export const foreignSubjects = (a: string, b: string, intent: string): ForeignSubjects => ({
  publishes: publishesOf(a, b, intent),
  subscriptions: subscriptionsOf(a, b, intent),
  replies: repliesOf(a, b, intent),
});

const publishesOf = (a: string, b: string, intent: string): string[] => [
  ...["ack", "quote"].flatMap((verb) =>
    [`${b}.${intent}`, `${a}.${intent}.x`, `*.${intent}`, intent].map((rest) => `ucp.v1.${verb}.${rest}`),
  ),
  ...["hb", "catchup"].flatMap((verb) => [`ucp.v1.${verb}.${b}`, `ucp.v1.${verb}.*`, `ucp.v1.${verb}`]),
  ...[a, b, "*"].flatMap((node) => ["intent", "cancel", "notice"].map((kind) => `ucp.v1.node.${node}.${kind}`)),
  ...["", ".end", ".rev.1"].map((rest) => `ucp.v1.intent.${intent}${rest}`),
  `quotes.${intent}.${a}.quo_01h455vb4pex5vsknk084sn02q`,
  `dead.${intent}.${a}`,
  "dead.consumer.INTENTS.1",
  "rt.intent.x.-.y",
  `rt.node.-.-.${a}`,
  "live.local.rt.intent.x.-.y",
  ...["nodes", "access"].flatMap((bucket) => [`$KV.${bucket}.${a}`, `$KV.${bucket}.x`]),
  ...STREAMS.flatMap((stream) =>
    [
      "STREAM.INFO",
      "STREAM.PURGE",
      "STREAM.DELETE",
      "STREAM.UPDATE",
      "STREAM.MSG.GET",
      "STREAM.MSG.DELETE",
      "DIRECT.GET",
      "CONSUMER.CREATE",
      "CONSUMER.LIST",
    ].map((verb) => `$JS.API.${verb}.${stream}`),
  ),
  ...["INTENTS.dispatch", "INTENTS.finish", "QUOTES.intake"].flatMap((consumer) => [
    `$JS.API.CONSUMER.MSG.NEXT.${consumer}`,
    `$JS.API.CONSUMER.DELETE.${consumer}`,
    `$JS.ACK.${consumer}.1.1.1.1.1`,
  ]),
  "$JS.API.INFO",
  "$JS.API.STREAM.CREATE.MINE",
  "$JS.API.STREAM.LIST",
  "$SYS.REQ.CLAIMS.UPDATE",
  "$SYS.REQ.SERVER.PING",
  "$SYS.REQ.USER.INFO",
  "$SYS.ACCOUNT.x.CONNS",
  "$SRV.PING",
  `_INBOX.${b}.x`,
  `_INBOX.${a}.x`,
  "_INBOX.x",
  "_INBOX_svc.x",
  "_INBOX_rep.x",
  "_INBOX_gw.x",
  "anything",
];

const subscriptionsOf = (a: string, b: string, intent: string): string[] => [
  ">",
  "*",
  "*.>",
  "*.*.*.*",
  "ucp.>",
  "ucp.v1.>",
  "ucp.v1.*.>",
  ...["intent", "ack", "quote", "hb", "catchup"].map((verb) => `ucp.v1.${verb}.>`),
  ...["*", b].flatMap((node) => [`ucp.v1.node.${node}.*`, `ucp.v1.node.${node}.intent`, `ucp.v1.node.${node}.>`]),
  `ucp.v1.ack.${b}.*`,
  `ucp.v1.ack.${a}.*`,
  `ucp.v1.quote.${b}.*`,
  `ucp.v1.intent.${intent}.>`,
  "rt.>",
  "live.>",
  "live.*.rt.>",
  "quotes.>",
  "dead.>",
  "$KV.>",
  "$KV.access.>",
  "$JS.>",
  "$JS.API.>",
  "$JS.EVENT.>",
  "$JS.ACK.>",
  "$SYS.>",
  "$SYS.ACCOUNT.>",
  "$SRV.>",
  "_INBOX.>",
  "_INBOX.*",
  "_INBOX.*.*",
  `_INBOX.${b}.>`,
  `_INBOX.${b}.*`,
  "_INBOX_svc.>",
  "_INBOX_rep.>",
  "_INBOX_gw.>",
  "_INBOX_sys.>",
];

const repliesOf = (a: string, b: string, intent: string): string[] => [
  `ucp.v1.intent.${intent}.end`,
  `ucp.v1.intent.${intent}`,
  `ucp.v1.ack.${b}.${intent}`,
  `ucp.v1.ack.${a}.${intent}`,
  `ucp.v1.quote.${b}.${intent}`,
  `ucp.v1.node.${b}.intent`,
  `ucp.v1.node.${b}.notice`,
  `quotes.${intent}.${b}.quo_01h455vb4pex5vsknk084sn02q`,
  `dead.${intent}.${b}`,
  "rt.intent.x.-.y",
  `$KV.nodes.${b}`,
  "$JS.API.STREAM.PURGE.INTENTS",
  "$JS.API.STREAM.DELETE.EVENTS",
  "$JS.ACK.INTENTS.dispatch.1.1.1.1.1",
  "$SYS.REQ.CLAIMS.UPDATE",
  `_INBOX.${b}.x`,
  "_INBOX.x",
  "_INBOX.>",
  "_INBOX_svc.x",
  `_INBOX.${a}`,
  `_INBOX.${a}.*`,
  `_INBOX.${a}.>`,
  `_INBOX.${a}.x.>`,
  `_INBOX.${a}..x`,
  `_INBOX.${a}x.y`,
];
