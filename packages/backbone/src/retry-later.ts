// What a consumer's handler throws when it knows itself when the message shall come again. It is no fault: nothing is logged.

export class RetryLater extends Error {
  override readonly name = "RetryLater";
  readonly delayMs: number;

  constructor(delayMs: number) {
    super(`again in ${delayMs} ms`);
    this.delayMs = delayMs;
  }
}
