// Complete server frames (RFC 6455 §5.2): unmasked, so one Buffer serves every socket. `ws` has no call for that.

const FIN_TEXT = 0x81;
const FIN_BINARY = 0x82;

export function textFrame(text: string): Buffer {
  const payloadBytes = Buffer.byteLength(text);
  const frame = openFrame(FIN_TEXT, payloadBytes);
  frame.write(text, frame.length - payloadBytes);
  return frame;
}

export function binaryFrame(payload: Uint8Array): Buffer {
  const frame = openFrame(FIN_BINARY, payload.length);
  frame.set(payload, frame.length - payload.length);
  return frame;
}

/** The header stands, the payload is to be written behind it. */
function openFrame(kind: number, payloadBytes: number): Buffer {
  const headerBytes = payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + payloadBytes);
  frame[0] = kind;
  if (headerBytes === 2) frame[1] = payloadBytes;
  else if (headerBytes === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(payloadBytes, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(0, 2);
    frame.writeUInt32BE(payloadBytes, 6);
  }
  return frame;
}
