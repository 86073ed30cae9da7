// A call of the HTTP API that must succeed.

export async function post<T>(url: string, secret: string, path: string, body: object): Promise<T> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: {
      authorization: `Bearer ${secret}`,
      "content-type": "application/json",
      "idempotency-key": crypto.randomUUID(),
    },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}
