import { createPrivateKey, sign } from 'node:crypto';
import type { OAuth2, TokenResponse } from 'jsforce';
import { ConnectorError } from './errors.ts';

/** The OAuth flows of Salesforce that need no browser; secrets are read already. */
export type SalesforceLogin =
  | {
      readonly flow: 'password';
      readonly clientId: string;
      readonly clientSecret: string;
      readonly username: string;
      /** With the security token appended where the org asks for one. */
      readonly password: string;
    }
  | { readonly flow: 'jwt'; readonly clientId: string; readonly username: string; readonly privateKey: string }
  | {
      readonly flow: 'refresh-token';
      readonly clientId: string;
      readonly clientSecret: string | null;
      readonly refreshToken: string;
    }
  | { readonly flow: 'client-credentials'; readonly clientId: string; readonly clientSecret: string }
  /** A session that somebody else began: nothing to renew it with. */
  | { readonly flow: 'access-token'; readonly accessToken: string; readonly instanceUrl: string };

/** How long a JWT assertion is valid; Salesforce allows at most three minutes from now. */
const ASSERTION_SECONDS = 120;

/**
 * Asks for an access token.
 *
 * @returns null for `access-token`, which asks nobody.
 * @throws what the library throws; ConnectorError SECRET_MISSING for a key that is none.
 */
export function requestToken(
  oauth2: OAuth2,
  login: Exclude<SalesforceLogin, { flow: 'access-token' }>,
  name: string,
): Promise<TokenResponse> {
  switch (login.flow) {
    case 'password':
      return oauth2.authenticate(login.username, login.password);
    case 'jwt': {
      const assertion = jwtAssertion(login, oauth2.loginUrl, name);
      return oauth2.requestToken({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
    }
    case 'refresh-token':
      return oauth2.refreshToken(login.refreshToken);
    case 'client-credentials':
      return oauth2.requestToken({ grant_type: 'client_credentials' });
    default:
      return login satisfies never;
  }
}

/** RFC 7523, section 3, with RS256 (RFC 7518, section 3.3), as Salesforce's JWT bearer flow takes it. */
function jwtAssertion(login: SalesforceLogin & { flow: 'jwt' }, audience: string, name: string): string {
  const part = (value: object | Buffer): string =>
    (Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))).toString('base64url');
  const claims = {
    iss: login.clientId,
    sub: login.username,
    aud: audience,
    exp: Math.floor(Date.now() / 1000) + ASSERTION_SECONDS,
  };
  const signed = `${part({ alg: 'RS256', typ: 'JWT' })}.${part(claims)}`;
  try {
    return `${signed}.${part(sign('sha256', Buffer.from(signed), createPrivateKey(login.privateKey)))}`;
  } catch {
    throw new ConnectorError('SECRET_MISSING', `${name}: privateKey is not an RSA key in PEM form`);
  }
}
