// What runs anywhere; index.ts adds the key files.
export { decodeBase64Url } from "./base64url.js";
export type { Algorithm } from "./curve.js";
export * from "./freshness.js";
export * from "./public-key.js";
export { type DetachedSignature, signEnvelope, signEnvelopeAsync, signIntent, typOf } from "./sign.js";
export * from "./signing-key.js";
export {
  mintToken,
  SeenTokens,
  type TokenClaims,
  type TokenExpectation,
  type TokenVerdict,
  verifyToken,
} from "./token.js";
export {
  type BareBytes,
  type BareVerdict,
  type SignatureRefusal,
  type SignedEnvelope,
  type Verdict,
  verifyBareAsync,
  verifyEnvelope,
  verifyEnvelopeAsync,
} from "./verify.js";
export { verifyEd25519 } from "#curve";
