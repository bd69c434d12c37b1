/**
 * Readers and writers of the protocol's structures, made from the table in layouts.ts. An accessor takes a DataView and
 * the offset at which the structure begins; none allocates, save those of 64-bit inode numbers (bigints).
 *
 *   const size = ReadIn.get.size(view, BODY);
 *   OpenOut.set.fh(view, at, handle);
 */
import { joined } from '../packed/whole.ts';
import { type Layout, layouts, type Scalar, type StructName } from './layouts.ts';

type Fields<S extends StructName> = (typeof layouts)[S][number];
type FieldName<S extends StructName> = Fields<S>[0];
type FieldType<S extends StructName, N extends string> = Extract<Fields<S>, readonly [N, ...unknown[]]>[1];
type Value<T> = T extends 'id64' ? bigint : number;
type ScalarNames<S extends StructName> = {
  [N in FieldName<S>]: FieldType<S, N> extends Scalar ? N : never;
}[FieldName<S>];

type Reader<V> = (view: DataView, at: number) => V;
type Writer<V> = (view: DataView, at: number, value: V) => void;

export interface Struct<S extends StructName> {
  readonly name: S;
  /** Bytes, padding included. */
  readonly size: number;
  /** Offset of each member. */
  readonly at: { readonly [N in FieldName<S>]: number };
  readonly get: { readonly [N in ScalarNames<S>]: Reader<Value<FieldType<S, N>>> };
  readonly set: { readonly [N in ScalarNames<S>]: Writer<Value<FieldType<S, N>>> };
}

const WORD = 0x1_0000_0000;
const widths: Record<Scalar, number> = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8, id64: 8 };

/** An unsigned 64-bit number; above 2^53 it is not exact, which `isExact` tells. */
export function readU64(view: DataView, at: number): number {
  return joined(view.getUint32(at + 4, true), view.getUint32(at, true));
}

/** Writes a whole number, 0 to 2^53. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true); // ToUint32 takes the number modulo 2^32, also above it
  view.setUint32(at + 4, (value / WORD) >>> 0, true);
}

function readI64(view: DataView, at: number): number {
  return joined(view.getInt32(at + 4, true), view.getUint32(at, true));
}

function writeI64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true);
  view.setInt32(at + 4, Math.floor(value / WORD), true);
}

const readers: { [T in Scalar]: (offset: number) => Reader<Value<T>> } = {
  u16: (offset) => (view, at) => view.getUint16(at + offset, true),
  u32: (offset) => (view, at) => view.getUint32(at + offset, true),
  i32: (offset) => (view, at) => view.getInt32(at + offset, true),
  u64: (offset) => (view, at) => readU64(view, at + offset),
  i64: (offset) => (view, at) => readI64(view, at + offset),
  id64: (offset) => (view, at) => view.getBigUint64(at + offset, true),
};

const writers: { [T in Scalar]: (offset: number) => Writer<Value<T>> } = {
  u16: (offset) => (view, at, value) => view.setUint16(at + offset, value, true),
  u32: (offset) => (view, at, value) => view.setUint32(at + offset, value, true),
  i32: (offset) => (view, at, value) => view.setInt32(at + offset, value, true),
  u64: (offset) => (view, at, value) => writeU64(view, at + offset, value),
  i64: (offset) => (view, at, value) => writeI64(view, at + offset, value),
  id64: (offset) => (view, at, value) => view.setBigUint64(at + offset, value, true),
};

function isScalar(type: string): type is Scalar {
  return type in widths;
}

function sizeOf(type: string): number {
  return isScalar(type) ? widths[type] : struct(type as StructName).size;
}

/**
 * The accessors of one structure. Members lie one behind the other: the protocol aligns each by explicit padding, so
 * there is none to add.
 */
export function struct<S extends StructName>(name: S): Struct<S> {
  const at: Record<string, number> = {};
  const get: Record<string, unknown> = {};
  const set: Record<string, unknown> = {};
  let offset = 0;
  for (const [field, type, count] of layouts[name] as Layout) {
    at[field] = offset;
    if (isScalar(type)) {
      get[field] = readers[type](offset);
      set[field] = writers[type](offset);
    }
    offset += sizeOf(type) * (count ?? 1);
  }
  return { name, size: offset, at, get, set } as unknown as Struct<S>;
}

/** False for a number that was decoded from 64 bits and lost some: no offset, handle or node of ours is that large. */
export function isExact(value: number): boolean {
  return value <= Number.MAX_SAFE_INTEGER;
}

export const InHeader = struct('in_header');
export const OutHeader = struct('out_header');

/** Where a request's body begins, and where a reply's payload does. */
export const BODY = InHeader.size;
export const PAYLOAD = OutHeader.size;
