// Every bound of the gateway with its reason beside it; docs/gateway-limits.md is generated from both. Values that operators may change are defaults here and options of createGateway.

const SECOND = 1_000;
const KIB = 1024;
const MIB = 1024 * KIB;

export const GATEWAY_LIMITS = {
  // what a client may send
  frameInBytesMax: 64 * KIB, // 128 subscriptions with cursors are under 20 KiB
  commandsPerSecond: 50, // a person's screen needs a few
  commandsBurst: 300, // all subscriptions of one connection at once, twice
  commandsInFlightMax: 64, // that wait for the service behind their kind; each holds its payload
  commandIdCharsMax: 64, // a UUID and a half; every reply carries it
  channelCharsMax: 200, // kind and a buyer's id of 128; every event of the channel carries it
  tokenCharsMax: 8 * KIB, // 32 channel names and the claims
  rewindEventsMax: 1_000, // a screen shows a hundred; everything is `from: "start"`
  typesMax: 32, // there are two dozen types
  typeCharsMax: 64, // the longest of them has 24
  subscriptionsMax: 128, // per connection: each costs a set entry in every dispatch
  fragmentsMax: 1_024, // of one frame: 64 bytes each still fit; each costs an object, an empty one too
  chunksMax: 4_096, // parts in which a frame arrives: byte by byte each byte costs some 200
  pongsWaitingMax: 512, // pings whose answer a peer does not take, above `commandsBurst`; beyond it the socket is destroyed
  // the HTTP server that carries upgrades and streams
  headersBytesMax: 16 * KIB, // a token of 8 KiB in the address, and the browser's own
  headersMs: 10 * SECOND, // for a TLS handshake, and for a request to arrive: what dribbles or says nothing holds a socket so long
  headersCheckMs: 1 * SECOND, // how often late requests are looked for: Node's 30 s would undo the deadline
  socketsMax: 22_000, // TCP connections: those of `connectionsMax`, and those whose request is still to come
  // what one process holds
  connectionsMax: 20_000, // about 8 KB each; the storm after a crash must fit its successor
  unauthenticatedMax: 2_000, // sockets that have sent nothing yet cost an attacker nothing
  // waiting to be written, per connection
  queueBytesMax: 1 * MIB, // a reader that is further behind is caught up from the record, not from memory
  queueFramesMax: 4_096, // small frames cost their place in the queue, some 100 bytes, not their own
  writeBytesMax: 256 * KIB, // one write: beyond it the copy costs more than the system call
  flushSliceMs: 10, // of writing in one turn of the event loop: one event to 10,000 sockets takes 70, and others wait behind it
  stallMs: 10 * SECOND, // a peer that takes nothing for so long is gone
  lagMs: 60 * SECOND, // a reader that is slower than its channels for so long never catches up
  // time
  authMs: 5 * SECOND, // a browser sends its token in the first round trip
  pingMs: 25 * SECOND, // below the 30 to 60 s of idle timeouts in proxies
  pongMs: 10 * SECOND, // a phone that changes its network needs some seconds
  idleMs: 60 * SECOND, // of clients that beat by themselves, every 30 s (Phoenix)
  pollMs: 10 * SECOND, // a long poll without news: the client gives one up after 20 s
  pollGoneMs: 30 * SECOND, // without a poll the client is gone
  pollBodyBytesMax: 1 * MIB, // 100 messages are what the client sends at once
  closeMs: 2 * SECOND, // for the peer's close frame; then the socket is destroyed
  streamRetryMs: 2 * SECOND, // when an EventSource comes back, give or take the half
  drainMs: 5 * SECOND, // at most, over which advice to reconnect is spread
  drainMsPerConnection: 2, // a successor takes 500 handshakes a second without effort
  sweepMs: 1 * SECOND, // how often deadlines are looked at
  aheadMs: 5 * SECOND, // how long a cursor that another process gave out may be ahead of this one
  // the live log
  ringBytesMax: 16 * MIB, // some minutes of events: most reconnects are served without a read
  ringEventsMax: 16_384, // each has an entry for every channel that it belongs to
  framesBytesMax: 16 * MIB, // of events as they were sent, for whoever comes back: as many as the ring has, in one wire protocol
  tapesBytesMax: 16 * MIB, // of the same, joined for whoever comes back for many of them
  tapeEventsMin: 8, // fewer are queued one by one for less than a joined copy costs
  heldBytesMax: 16 * MIB, // messages behind a hole; beyond it they are read from the record again
  heldEventsMax: 8_192, // as for the ring
  fillMessages: 500, // one page of a hole: 100k messages/s were measured, so 5 ms
  fillBytesMax: 4 * MIB, // one answer of the server, held once per process
  dispatchSlice: 256, // events between two turns of the event loop
  tailCheckMs: 1 * SECOND, // how long the loss of the last message before a silence may stay unseen
  headCheckMs: 3 * SECOND, // how long a stream that was replaced in silence may stay unseen
  retryMs: 250, // between two tries to read what cannot be read
  // presence and hints
  presenceMembersMax: 200, // named; above it only counted, since n members cost n² messages
  presenceInfoBytesMax: 1 * KIB, // a name and a state; 200 of them are one frame
  presenceFlushMs: 100, // changes of so long go together
  presenceCountMs: 1 * SECOND, // how often a count is told
  presenceLingerMs: 15 * SECOND, // a reload or a tunnel is no leave
  presenceBeatMs: 10 * SECOND, // between two signs of life of a process: a lost change is found so late
  presenceDeadMs: 30 * SECOND, // three beats: then the process and all its members are gone
  hintBytesMax: 1 * KIB, // a word and a place; each of its readers gets it
  hintsPerSecond: 5, // per connection: keys are pressed faster, people read slower
  hintFlushMs: 100, // of one member and kind only the last one within it is told
  hintClearMs: 5 * SECOND, // nobody types for ever
  hintsMax: 10_000, // that stand at a time in one process: some MB
  // replay from the record
  replayMessages: 256, // a page: others take their turn between two
  replayBytesMax: 256 * KIB, // with `replaysMax` at most 16 MiB of pages at a time
  replayPartBytesMax: 64 * KIB, // of a page, taken by a queue as one: a sixteenth of what it may hold
  replaysMax: 64, // reads of the record at the same time, of all connections
  pageKeptMs: 2 * SECOND, // behind the last who took it: a page serves all who come back with one cursor; what is longer is the ring's part
  pagesBytesMax: 16 * MIB, // of pages that are kept
} as const;

export type GatewayLimits = { readonly [Name in keyof typeof GATEWAY_LIMITS]: number };
