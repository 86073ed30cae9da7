// What the rest of the package needs of a curve library. `#curve` is curve-node.ts, or curve-browser.ts under the condition "browser".

export type Algorithm = "EdDSA" | "ES256";

/** ES256 public keys are x ‖ y (64 bytes), Ed25519's the 32 bytes of RFC 8032; signatures are 64 bytes of either. */
export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;
export type VerifyAsync = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

export interface Ed25519Signer {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Uint8Array;
  signAsync(message: Uint8Array): Promise<Uint8Array>;
}

export interface Curve {
  readonly verify: { readonly [A in Algorithm]?: Verify };
  readonly verifyAsync: { readonly [A in Algorithm]: VerifyAsync };
  /** From the 32-byte seed of RFC 8032 §5.1.5. */
  createSigner(seed: Uint8Array): Ed25519Signer;
}
