import { describe, expect, test } from "@jest/globals";
import { buildEvent, newId, type Event } from "@outcry/protocol";
import { Webhook } from "standardwebhooks";
import { verifyWebhook } from "./verify-webhook.js";

const SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
const OTHER = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
const event: Event = buildEvent(
  "INTENT_BROADCASTED",
  { intent_id: newId("int"), attempt: 1, targets: 3, dispatched: 3 },
  { topic: "rt.intent.b.-.i", traceId: "0".repeat(32) },
);
const body = JSON.stringify(event);

/** As the stock library signs. */
function headersOf(secret = SECRET, at = new Date()) {
  return {
    "webhook-id": event.id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(secret).sign(event.id, at, body),
  };
}

describe("verifyWebhook", () => {
  test("gives the event that the stock library has signed, whatever form headers and body have", async () => {
    const headers = headersOf();
    expect(await verifyWebhook(body, headers, SECRET)).toEqual(event);
    expect(await verifyWebhook(Buffer.from(body), new Headers(headers), SECRET)).toEqual(event);
    const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]));
    expect(await verifyWebhook(body, upper, SECRET)).toEqual(event);
  });

  test("takes either secret of a rotation", async () => {
    const [newer, older] = [headersOf(OTHER), headersOf()];
    const both = { ...newer, "webhook-signature": `${newer["webhook-signature"]} ${older["webhook-signature"]}` };
    for (const secret of [SECRET, OTHER]) expect(await verifyWebhook(body, both, secret)).toEqual(event);
  });

  test("refuses another secret, body, id or time, and headers that are missing or of another scheme", async () => {
    const good = headersOf();
    const code = async (given: Record<string, string | undefined>, text = body, secret = SECRET) =>
      verifyWebhook(text, given, secret).then(
        () => "taken",
        (error: { code: string }) => error.code,
      );
    expect(await code(good)).toBe("taken");
    expect(await code(good, body, OTHER)).toBe("signature_invalid");
    expect(await code(good, `${body} `)).toBe("signature_invalid");
    expect(await code({ ...good, "webhook-id": newId("evt") })).toBe("signature_invalid");
    const later = String(Number(good["webhook-timestamp"]) + 1);
    expect(await code({ ...good, "webhook-timestamp": later })).toBe("signature_invalid");
    expect(await code({ ...good, "webhook-signature": "v1,???" })).toBe("signature_invalid");
    const renamed = good["webhook-signature"].replace("v1,", "v1a,");
    expect(await code({ ...good, "webhook-signature": renamed })).toBe("signature_invalid");
    for (const name of Object.keys(good)) expect(await code({ ...good, [name]: undefined })).toBe("signature_missing");
    expect(await code(good, body, "whsec_")).toBe("config_invalid");
  });

  test("refuses what was sent more than five minutes ago, or will be", async () => {
    for (const minutes of [-6, 6]) {
      const headers = headersOf(SECRET, new Date(Date.now() + minutes * 60_000));
      await expect(verifyWebhook(body, headers, SECRET)).rejects.toMatchObject({ code: "message_expired" });
      expect(await verifyWebhook(body, headers, SECRET, { toleranceS: 400 })).toEqual(event);
    }
  });
});
