import { z } from 'zod';
import { hashField, nameField } from '../../protocols/fields.ts';
import { readValidated } from './files.ts';

/** Host and port; host is a DNS name, an IPv4 address, or an IPv6 address in brackets. */
export const addressField = z
  .string()
  .regex(/^(?:\[[0-9a-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/, 'must be host:port')
  .refine((address) => splitAddress(address).port <= 65_535, 'the port must be at most 65535');

/** Where others find a party: never a wildcard, which is an address to listen on only. */
export const reachableField = addressField.refine(
  (address) => !['0.0.0.0', '::', '0:0:0:0:0:0:0:0'].includes(splitAddress(address).host),
  'must be where others reach the party; to listen on all interfaces, start it with --listen',
);

/** @param address - as `addressField` takes it. @returns the host without brackets. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replaceAll(/[[\]]/g, ''), port: Number(address.slice(at + 1)) };
}

/** Where a party's server is, and the SHA-256 of its certificate's public key that clients pin (64 hex digits). */
const endpointField = z.strictObject({ name: nameField, address: addressField, tlsKeySha256: hashField });
export type Endpoint = z.infer<typeof endpointField>;

/** Prefix of a service over HTTP. Not `z.url`, which trims what it checks: a byte order mark passed and then threw. */
export const urlField = z
  .string()
  .max(300)
  .regex(/^https?:\/\/[!-~]+$/, 'must be a URL of http or https')
  .refine((url) => URL.canParse(url), 'must be a URL');

/** The public description of a federation: what every party is given at enrolment. Holds no secret. */
export const federationField = z.strictObject({
  version: z.literal(1),
  /** Genesis leaf, base64. */
  genesis: z.string().min(1),
  /** Hash of the genesis body: what `veilsum audit --genesis` pins. */
  genesisHash: hashField,
  /** PEM of the certificate authority. */
  authority: z.string().min(1),
  coordinator: endpointField,
  aggregators: z.array(endpointField).min(1),
  members: z.array(endpointField).min(3),
  witnesses: z.array(endpointField),
  /** Witnesses of other people that genesis names (C2SP tlog-witness): where the coordinator asks them. */
  httpWitnesses: z.array(z.strictObject({ name: nameField, url: urlField })).optional(),
});
export type Federation = z.infer<typeof federationField>;

/** @throws ConfigError FILE_MISSING, INVALID */
export function readFederation(path: string): Federation {
  return readValidated(path, 'the federation file', federationField);
}

/** The same federation, with other TLS keys for some of its parties, by name. Names that are not in it change nothing. */
export function withPins(federation: Federation, pins: ReadonlyMap<string, string>): Federation {
  const pinned = (endpoint: Endpoint): Endpoint => ({
    ...endpoint,
    tlsKeySha256: pins.get(endpoint.name) ?? endpoint.tlsKeySha256,
  });
  const { coordinator, aggregators, members, witnesses } = federation;
  return {
    ...federation,
    coordinator: pinned(coordinator),
    aggregators: aggregators.map(pinned),
    members: members.map(pinned),
    witnesses: witnesses.map(pinned),
  };
}
