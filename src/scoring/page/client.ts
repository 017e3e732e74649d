/** Where the token is while this tab lives. Never in a cookie: no other site can make the browser send it. */
const KEPT = 'veilsum-token';

export function keptToken(): string | null {
  return sessionStorage.getItem(KEPT);
}

export function keepToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(KEPT);
  else sessionStorage.setItem(KEPT, token);
}

/** What the server refused, in words for a person. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number) {
    super(WORDS[status] ?? 'The server cannot answer now. Try again in a minute.');
    this.status = status;
  }
}

const WORDS: Readonly<Record<number, string>> = {
  0: 'The server does not answer. Is there a network?',
  400: 'The server does not understand this search.',
  401: 'This token is not valid, or no longer. Ask whoever runs the scores for a new one.',
  403: 'Your token is not for this territory.',
  404: 'There is no such organisation in your territories.',
  429: 'Too many requests. Wait a minute, then try again.',
};

/** Reads from the API. @throws Refusal */
export async function read<T>(path: string, signal: AbortSignal | null = null): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`/api/v1/${path}`, {
      headers: { authorization: `Bearer ${keptToken() ?? ''}` },
      credentials: 'omit',
      signal,
    });
  } catch (error) {
    if ((error as Error).name === 'AbortError') throw error;
    throw new Refusal(0);
  }
  if (!response.ok) throw new Refusal(response.status);
  return (await response.json()) as T;
}
