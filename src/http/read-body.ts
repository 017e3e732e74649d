/**
 * Reads a response's body, never more than `maxBytes` of it: a peer that sends without end costs that much.
 *
 * @returns null where there is more.
 * @throws what the connection ends with.
 */
export async function readBody(response: Response, maxBytes: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) return null; // leaving the loop cancels the stream
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
