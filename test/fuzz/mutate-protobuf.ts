import { INTEGERS, join, MAX_INPUT_BYTES, mutateBytes, varintOf } from './mutate-bytes.ts';
import { type Chance, pick } from './random.ts';

/** One field on the wire: its tag's number and wire type, and the bytes after the tag. */
interface Field {
  number: bigint;
  wireType: number;
  /** Of a length-delimited field without its length. */
  value: Uint8Array;
}

function readVarint(bytes: Uint8Array, at: number): [value: bigint, end: number] | null {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) return null;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return [value, at + i + 1];
  }
  return null;
}

/** The fields of a message; null for bytes that are none. */
function fieldsOf(bytes: Uint8Array): Field[] | null {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (tag === null) return null;
    const [number, wireType] = [tag[0] >> 3n, Number(tag[0] & 7n)];
    let start = tag[1];
    let end = start;
    if (wireType === 0) end = readVarint(bytes, start)?.[1] ?? -1;
    else if (wireType === 1) end = start + 8;
    else if (wireType === 5) end = start + 4;
    else if (wireType === 2) {
      const length = readVarint(bytes, start);
      if (length === null) return null;
      start = length[1];
      end = start + Number(length[0]);
    } else return null;
    if (end < start || end > bytes.length) return null;
    fields.push({ number, wireType, value: bytes.subarray(start, end) });
    at = end;
  }
  return fields;
}

function write(chance: Chance, { number, wireType, value }: Field): Uint8Array {
  const tag = varintOf((number << 3n) | BigInt(wireType), chance.below(64) === 0 ? 1 : 0);
  if (wireType !== 2) return join(tag, value);
  const lie = chance.below(24) === 0;
  const length = lie ? pick(chance, [...INTEGERS, BigInt(value.length + 1)]) : BigInt(value.length);
  return join(tag, varintOf(length, chance.below(64) === 0 ? 1 : 0), value);
}

/** One field inside the other, `depth` times. */
function nested(number: bigint, depth: number): Uint8Array {
  let inner: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < depth && inner.length < MAX_INPUT_BYTES / 2; i++) {
    inner = join(varintOf((number << 3n) | 2n), varintOf(BigInt(inner.length)), inner);
  }
  return inner;
}

/**
 * Edits a protobuf message by its fields: drops, doubles, reorders, renumbers, retypes them, changes their values within
 * and beyond their types, lies about lengths, nests deep, opens groups.
 */
export function mutateProtobuf(chance: Chance, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const fields = fieldsOf(bytes);
  if (fields === null || chance.below(8) === 0) return mutateBytes(chance, bytes, other);
  for (let left = 1 + chance.below(2); left > 0; left--) change(chance, fields, other);
  return join(...fields.map((field) => write(chance, field))).slice(0, MAX_INPUT_BYTES);
}

function change(chance: Chance, fields: Field[], other: Uint8Array): void {
  const i = chance.below(fields.length);
  const field = fields[i];
  switch (field === undefined ? 6 : chance.below(10)) {
    case 0:
      fields.splice(i, 1);
      return;
    case 1:
      fields.splice(chance.below(fields.length + 1), 0, { ...field! });
      return;
    case 2:
      fields.reverse();
      return;
    case 3:
      field!.number = pick(chance, [0n, 1n, 2n, 3n, 4n, 5n, 15n, 16n, 2047n, (1n << 29n) - 1n, 1n << 29n, 1n << 32n]);
      return;
    case 4:
      field!.wireType = chance.below(8); // 3 and 4 open and close groups, 6 and 7 are none
      return;
    case 5: {
      const donors = fieldsOf(other) ?? [];
      if (donors.length > 0) fields.splice(i, 0, pick(chance, donors));
      return;
    }
    case 6:
      fields.push({
        number: BigInt(1 + chance.below(6)),
        wireType: 2,
        value: nested(BigInt(1 + chance.below(3)), 1 + chance.below(200)),
      });
      return;
    default:
      if (field!.wireType === 0) field!.value = varintOf(pick(chance, INTEGERS), chance.below(8) === 0 ? 2 : 0);
      else if (field!.wireType === 2 && chance.below(2) === 0)
        field!.value = mutateProtobuf(chance, field!.value, other);
      else field!.value = mutateBytes(chance, field!.value, other);
  }
}
