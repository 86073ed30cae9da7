export { createOnceAppender, EVENT_ID_HEADER } from "./append-once.js";
export type { AppendedOnce, EventEntry, OnceAppender } from "./append-once.js";
export { createAppender } from "./append.js";
export type { AppendEntry, Appended, Appender, AppenderOptions } from "./append.js";
export {
  createAuthTree,
  INBOX_PREFIXES,
  mintNodeUser,
  mintUser,
  nodePermissions,
  operatorOf,
  replyAllowed,
  tapPermissions,
} from "./auth.js";
export type { AuthTree, MintedUser, NodeJwt, NodeUser, Permissions, TapPlace, UserKind } from "./auth.js";
export { connectBackbone } from "./connect.js";
export type { Backbone, Handler, PublishOptions, RequestOptions, Subscription } from "./connect.js";
export type { ConnectOptions, Credentials, TlsFiles } from "./dial.js";
export { consumerNames, consumerPlace, deleteConsumer } from "./consumers.js";
export type { ConsumerPlace } from "./consumers.js";
export { runConsumer } from "./consume.js";
export type { ConsumedMessage } from "./consume-attempt.js";
export type { ConsumeOptions, RunningConsumer } from "./consume.js";
export { checkNatsPromises, readDurability, versionOnFloor } from "./durability.js";
export type { DurabilitySources, ServerDurability, UnkeptPromise } from "./durability.js";
export { EncodedHeaders, encodeHeaders, foreignHeaders, HeaderView, Incoming } from "./headers.js";
export type { HeaderFields } from "./headers.js";
export type { Health } from "./health.js";
export { checkNodePublicKey, credsText, newKeyPair } from "./jwt.js";
export type { CheckedKey, KeyPair } from "./jwt.js";
export { nextSeqOnLeader } from "./leader-read.js";
export { openBucket } from "./kv.js";
export type { Bucket, Written } from "./kv.js";
export type { BucketEntry } from "./kv-entry.js";
export type { WatchHandlers, Watching } from "./kv-watch.js";
export { subjectMatches } from "./overlap.js";
export { getBySeq, getLast, readAll, readBatch, streamHead } from "./read.js";
export type { Page, PageQuery, RangeQuery, StreamHead } from "./read.js";
export { countMessages, readLast, subjectsOf } from "./read-last.js";
export { RetryLater } from "./retry-later.js";
export { createRevoker } from "./revoke.js";
export type { Revocation, Revoker } from "./revoke.js";
export { storedFromHeaders } from "./stored.js";
export type { Stored } from "./stored.js";
export { TimestampReader } from "./timestamps.js";
export { ensureStreams, inspectStreams, streamConfigs } from "./streams.js";
export type { EnsuredStream, StreamReport, StreamsOptions } from "./streams.js";
export { ensureTap } from "./tap.js";
export type { EnsuredTap, TapDeps } from "./tap.js";
export { seqAtTime } from "./seq-at-time.js";
export { openAuthFolder, readAuthFolder, readPrivate, writeTapFolder } from "./auth-folder.js";
export type { AuthFolder } from "./auth-folder.js";
export { purgeBelow } from "./purge.js";
export { serially } from "./serially.js";
