import { connect, type SecureContextOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PartyService } from '../../src/grpc/services.ts';
import { secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf } from '../protocol/parties.ts';

let lab: FederationLab;
let tls: TlsIdentity;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu'] });
  tls = await lab.tlsOf('eu');
  await lab.log.until((t) => t.parties.has('eu'));
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('P24: every server of a federation', () => {
  const handshake = (port: number, options: SecureContextOptions): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({
        ...options,
        port,
        host: '127.0.0.1',
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('secureConnect', () => resolve(socket.getProtocol()!));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!));
      socket.on('close', () => resolve('CLOSED'));
    });

  it('refuses a client without a certificate, and TLS 1.2; with one, and TLS 1.3, it gets in (control)', async () => {
    const { ciphers: _, ...old } = {
      ...secureContextOptions(tls),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    } as const;
    const now = { ...old, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' } as const;
    for (const card of lab.local.cards) {
      const bare = lab.connect({ ...tls, certificates: '' }, card.name);
      expect([card.name, await codeOf(bare.callOnce(PartyService.status, {}, 5000))]).toEqual([
        card.name,
        'CERTIFICATE_REQUIRED',
      ]);
      bare.close();
      const port = Number(card.address.split(':')[1]);
      expect([card.name, await handshake(port, old)]).toEqual([card.name, expect.stringMatching(/PROTOCOL_VERSION/)]);
      // Controls: with the certificate, and with TLS 1.3 allowed, the same client gets in.
      expect(await handshake(port, now)).toBe('TLSv1.3');
      const known = lab.connect(tls, card.name);
      expect(await codeOf(known.callOnce(PartyService.status, {}, 5000))).toBe('SUCCEEDED');
      known.close();
    }
  });
});
