/**
 * Tables of fields: each says once what is allowed, and is used in both directions, so that nothing
 * is written that would not be read.
 *
 * The one rule of writing: a value that equals the wire type's zero value is left out (protobuf's
 * implicit presence), and nested messages are present or not. Enums start at 1, ids are never
 * empty, so "left out" always means "not there".
 */
import { FormatError, type FormatErrorCode } from '../errors.ts';

/**
 * How one value stands in a decoded protobuf message. `label` names it in errors, as
 * `Message.field`.
 */
export interface Field<T> {
  /** @throws FormatError */
  read(wire: unknown, label: string): T;
  /** @throws FormatError */
  write(value: T, label: string): unknown;
}

export type Table<T> = { readonly [K in keyof T]-?: Field<T[K]> };

/** A refusal that names the field. */
export function refusal(code: FormatErrorCode, label: string, what: string): FormatError {
  return new FormatError(code, `${label} ${what}`);
}

/**
 * A nested or whole message. `impliedVersion`: the bytes say version 1 although the typed value has
 * no such property.
 */
export function object<T extends object>(
  name: string,
  table: Table<T>,
  options: { impliedVersion?: boolean } = {},
): Field<T> {
  const columns = Object.entries<Field<unknown>>(table as Record<string, Field<unknown>>).map(
    ([key, field]) => ({
      key,
      field,
      label: `${name}.${key}`,
    }),
  );
  return {
    read(wire, label) {
      if (typeof wire !== 'object' || wire === null)
        throw refusal('FORMAT_MALFORMED', label, 'is missing');
      const message = wire as Record<string, unknown> & { readonly version?: unknown };
      if (options.impliedVersion) version.read(message.version, `${name}.version`);
      const value: Record<string, unknown> = {};
      for (const column of columns)
        value[column.key] = column.field.read(message[column.key], column.label);
      return value as T;
    },
    write(value, label) {
      if (typeof value !== 'object' || value === null)
        throw refusal('FORMAT_MALFORMED', label, 'is missing');
      const message: Record<string, unknown> = options.impliedVersion ? { version: 1 } : {};
      const source = value as Record<string, unknown>;
      for (const column of columns) {
        const wire = column.field.write(source[column.key], column.label);
        if (wire !== undefined) message[column.key] = wire;
      }
      return message;
    },
  };
}

/** The format version, 1. Anything else is from a release that this one does not know. */
export const version: Field<1> = {
  read: (wire, label) => {
    if (wire !== 1)
      throw refusal(
        'FORMAT_UNKNOWN_VERSION',
        label,
        `is ${String(wire)}; this release knows version 1`,
      );
    return 1;
  },
  write: (value, label) => version.read(value, label),
};

/** One of several messages: exactly one variant is there, and its name is the value's `type`. */
export function union<T extends { readonly type: string }>(
  variants: { readonly [K in T['type']]: Field<Omit<Extract<T, { readonly type: K }>, 'type'>> },
  options: { impliedVersion?: boolean } = {},
): Field<T> {
  const fields = new Map(
    Object.entries<Field<unknown>>(variants as Record<string, Field<unknown>>),
  );
  return {
    read(wire, label) {
      if (typeof wire !== 'object' || wire === null)
        throw refusal('FORMAT_MALFORMED', label, 'is missing');
      const message = wire as Record<string, unknown> & { readonly version?: unknown };
      if (options.impliedVersion) version.read(message.version, `${label}.version`);
      const present = [...fields.keys()].filter(
        (type) => message[type] !== undefined && message[type] !== null,
      );
      const [type] = present;
      if (type === undefined)
        throw refusal('FORMAT_UNKNOWN_VERSION', label, 'is of no kind that this release knows');
      if (present.length > 1)
        throw refusal('FORMAT_MALFORMED', label, `claims to be ${present.join(' and ')}`);
      return {
        type,
        ...(fields.get(type)?.read(message[type], `${label}.${type}`) as object),
      } as unknown as T;
    },
    write(value, label) {
      const field = fields.get(value.type);
      if (field === undefined)
        throw refusal('FORMAT_UNKNOWN_VERSION', label, 'is of no kind that this release knows');
      return {
        ...(options.impliedVersion ? { version: 1 } : {}),
        [value.type]: field.write(value, `${label}.${value.type}`),
      };
    },
  };
}

/** A nested message, a byte string or a list that may be absent. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  const isEmpty = (wire: unknown): boolean =>
    (wire instanceof Uint8Array || Array.isArray(wire)) && wire.length === 0;
  const absent = (wire: unknown): boolean => wire === undefined || wire === null || isEmpty(wire);
  return {
    read: (wire, label) => (absent(wire) ? undefined : field.read(wire, label)),
    write: (value, label) => (value === undefined ? undefined : field.write(value, label)),
  };
}

/** A repeated message with a bounded count. */
export function list<T>(element: Field<T>, min: number, max: number): Field<readonly T[]> {
  return {
    read: (wire, label) => counted(wire, label, min, max).map((item) => element.read(item, label)),
    write: (value, label) =>
      counted(value, label, min, max).map((item) => element.write(item as T, label)),
  };
}

/** An array with a checked length. @throws FormatError */
export function counted(value: unknown, label: string, min: number, max: number): unknown[] {
  if (!Array.isArray(value)) throw refusal('FORMAT_MALFORMED', label, 'is no list');
  checkCount(value.length, label, min, max);
  return value;
}

/** Refuses more or fewer elements than are allowed. @throws FormatError */
export function checkCount(count: number, label: string, min: number, max: number): void {
  if (count > max)
    throw refusal('FORMAT_LIMIT', label, `has ${count} elements, more than the ${max} allowed`);
  if (count < min)
    throw refusal('FORMAT_MALFORMED', label, `has ${count} elements, fewer than the ${min} needed`);
}

/**
 * A field with a rule over its whole value, applied in both directions. `rule` throws by `refusal`.
 */
export function checked<T>(field: Field<T>, rule: (value: T, label: string) => void): Field<T> {
  return {
    read(wire, label) {
      const value = field.read(wire, label);
      rule(value, label);
      return value;
    },
    write(value, label) {
      const wire = field.write(value, label);
      rule(value, label);
      return wire;
    },
  };
}
