/** Everything that ends a stream for good. A break that a reconnect repairs is not an error. */

export type ErrorCode =
  /** An event is missing. */
  | "gap"
  /** The response is not an event of a run. */
  | "protocol"
  /** The server could not be reached within the limit of tries. */
  | "unreachable"
  /** The server refused; its own code is in `message` and `serverCode`. */
  | "refused";

export class UnspoolError extends Error {
  override readonly name = "UnspoolError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** HTTP status and the server's own code, where it answered. */
    readonly status: number | null = null,
    readonly serverCode: string | null = null,
  ) {
    super(message);
  }
}

/** Read the server's refusal: `{"error": {"code", "message"}}`, or whatever a proxy put there. */
export async function refusal(response: Response): Promise<UnspoolError> {
  const body = (await response.text().catch(() => "")).slice(0, 4000);
  try {
    const { code, message } = JSON.parse(body).error;
    return new UnspoolError("refused", String(message), response.status, String(code));
  } catch {
    return new UnspoolError(
      "refused",
      `HTTP ${response.status} of ${response.url}: ${body}`,
      response.status,
    );
  }
}
