import { win32 } from 'node:path';
import type { Koffi } from '@koromix/koffi-win32-x64';
import { closedList, closingCommand, type Stranger, strangersIn } from './access-list.ts';

/**
 * What Node has no call for on Windows: who may open a file or folder, and its attributes. The
 * calls are the system's own (advapi32, kernel32), reached by koffi, which is loaded when the first
 * of them is needed, and on no other system.
 */
export interface WindowsAccess {
  /** Makes an empty file, closed to others from its first moment on. Fails with EEXIST. */
  makePrivateFile(path: string): void;
  /**
   * Makes a folder, closed to others, and so will be what is made in it. Fails with EEXIST, ENOENT.
   */
  makePrivateFolder(path: string): void;
  /** Gives a folder that is there, and is empty, a protected list. */
  close(path: string): void;
  /**
   * Who else may open it. A single account that an administrator let in by name is no stranger: so
   * a service's account gets in.
   */
  strangers(path: string): Strangers | undefined;
  /**
   * The name that the disk keeps for the last part of a path, in its case and length; undefined
   * where nothing is. Does not hold up the process.
   */
  nameOnDisk(path: string): Promise<string | undefined>;
  /** The attributes (`FILE_ATTRIBUTE_…` of winnt.h), of the name itself: a link is not followed. */
  attributes(path: string): number;
  /** What kind of reparse point a name is (`IO_REPARSE_TAG_…`); 0 when it is not one. */
  reparseTag(path: string): number;
  /**
   * Names of the streams that a file has beside its content; none where the file system has nothing
   * of the kind.
   */
  streams(path: string): readonly string[];
  /**
   * Whether a drive letter (`X:`) stands for a share of the network: each user has letters of his
   * own, and a service none of those.
   */
  isNetworkDrive(letter: string): boolean;
  /** Sets those attributes that can be set (read-only, hidden, system, archive, not indexed …). */
  setAttributes(path: string, attributes: number): void;
}

/** Who may open a folder that should be closed. */
export interface Strangers {
  /** For people: `Users (S-1-5-32-545)`. */
  readonly names: readonly string[];
  /** Whether one of them is its owner. */
  readonly owned: boolean;
  /** The command that mends it. */
  readonly command: string;
}

let loaded: Promise<WindowsAccess> | undefined;

/** The calls, loaded once. Only where `process.platform` is `win32`. */
export function windowsAccess(): Promise<WindowsAccess> {
  loaded ??= import('@koromix/koffi-win32-x64').then(({ default: koffi }) => bind(koffi));
  return loaded;
}

const OWNER_AND_LIST = 0x1 | 0x4;
/** The list, and that it inherits nothing from the folder above. */
const PROTECTED_LIST = 0x8000_0004;
const DESCRIPTION_BYTES = 64 * 1024;
const GENERIC_WRITE = 0x4000_0000;
const CREATE_NEW = 1;
const TOKEN_QUERY = 8;
const TOKEN_USER = 1;
const SID_OF_A_USER = 1;
const INVALID = 0xffff_ffff;
const REPARSE_POINT = 0x400;
const DRIVE_REMOTE = 4;
/**
 * WIN32_FIND_DATAW, and where its parts stand in it: attributes first, `dwReserved0`, which is the
 * tag of a reparse point, and the name.
 */
const FIND_DATA_BYTES = 592;
const FIND_DATA_TAG = 36;
const FIND_DATA_NAME = 44;

/** Errors of Windows that callers tell apart, by Node's names for them. */
const errnoByNumber: Readonly<Record<number, string>> = {
  2: 'ENOENT',
  3: 'ENOENT',
  5: 'EPERM',
  19: 'EROFS',
  32: 'EBUSY',
  33: 'EBUSY',
  53: 'ENOENT',
  80: 'EEXIST',
  112: 'ENOSPC',
  183: 'EEXIST',
};

function bind(koffi: Koffi): WindowsAccess {
  const advapi = koffi.load('advapi32.dll');
  const kernel = koffi.load('kernel32.dll');
  const call = {
    lastError: kernel.func('uint32_t __stdcall GetLastError()'),
    localFree: kernel.func('void * __stdcall LocalFree(void *memory)'),
    closeHandle: kernel.func('int __stdcall CloseHandle(void *handle)'),
    currentProcess: kernel.func('void * __stdcall GetCurrentProcess()'),
    createFile: kernel.func(
      'void * __stdcall CreateFileW(str16 path, uint32_t access, uint32_t share, void *security, uint32_t how, uint32_t flags, void *like)',
    ),
    createFolder: kernel.func('int __stdcall CreateDirectoryW(str16 path, void *security)'),
    attributes: kernel.func('uint32_t __stdcall GetFileAttributesW(str16 path)'),
    findFirst: kernel.func('void * __stdcall FindFirstFileW(str16 path, void *into)'),
    findFirstStream: kernel.func(
      'void * __stdcall FindFirstStreamW(str16 path, int level, void *into, uint32_t flags)',
    ),
    findNextStream: kernel.func('int __stdcall FindNextStreamW(void *handle, void *into)'),
    findClose: kernel.func('int __stdcall FindClose(void *handle)'),
    driveType: kernel.func('uint32_t __stdcall GetDriveTypeW(str16 root)'),
    setAttributes: kernel.func('int __stdcall SetFileAttributesW(str16 path, uint32_t attributes)'),
    fromWords: advapi.func(
      'int __stdcall ConvertStringSecurityDescriptorToSecurityDescriptorW(str16 words, uint32_t revision, _Out_ void **made, void *size)',
    ),
    toWords: advapi.func(
      'int __stdcall ConvertSecurityDescriptorToStringSecurityDescriptorW(void *from, uint32_t revision, uint32_t what, _Out_ void **words, _Out_ uint32_t *length)',
    ),
    getSecurity: advapi.func(
      'int __stdcall GetFileSecurityW(str16 path, uint32_t what, void *into, uint32_t size, _Out_ uint32_t *needed)',
    ),
    setSecurity: advapi.func(
      'int __stdcall SetFileSecurityW(str16 path, uint32_t what, void *from)',
    ),
    openToken: advapi.func(
      'int __stdcall OpenProcessToken(void *process, uint32_t access, _Out_ void **token)',
    ),
    tokenInformation: advapi.func(
      'int __stdcall GetTokenInformation(void *token, int what, void *into, uint32_t size, _Out_ uint32_t *needed)',
    ),
    sidFromWords: advapi.func(
      'int __stdcall ConvertStringSidToSidW(str16 words, _Out_ void **sid)',
    ),
    sidToWords: advapi.func('int __stdcall ConvertSidToStringSidW(void *sid, _Out_ void **words)'),
    lookUp: advapi.func(
      'int __stdcall LookupAccountSidW(void *system, void *sid, void *name, _Inout_ uint32_t *nameLength, void *domain, _Inout_ uint32_t *domainLength, _Out_ int *kind)',
    ),
  };

  const lengthOf = koffi.load('kernel32.dll').func('int __stdcall lstrlenW(void *text)');
  const failed = (syscall: string, path: string): Error => {
    const number = Number(call.lastError());
    const code = errnoByNumber[number] ?? 'UNKNOWN';
    return Object.assign(new Error(`${code}: Windows error ${number}, ${syscall} '${path}'`), {
      code,
      syscall,
      path,
    });
  };
  /** A text that the system made, and what held it freed. */
  const taken = (pointer: unknown): string => {
    const text = String(koffi.decode(pointer, 'char16_t', Number(lengthOf(pointer))));
    call.localFree(pointer);
    return text;
  };
  const withSid = <T>(words: string, use: (sid: unknown) => T): T => {
    const sid: unknown[] = [null];
    if (!call.sidFromWords(words, sid)) throw failed('ConvertStringSidToSid', words);
    try {
      return use(sid[0]);
    } finally {
      call.localFree(sid[0]);
    }
  };
  const wholeSid = (sid: unknown): string => {
    const words: unknown[] = [null];
    if (!call.sidToWords(sid, words)) throw failed('ConvertSidToStringSid', 'a SID');
    return taken(words[0]);
  };
  const withDescription = <T>(words: string, use: (description: unknown) => T): T => {
    const made: unknown[] = [null];
    if (!call.fromWords(words, 1, made, null))
      throw failed('ConvertStringSecurityDescriptor', words);
    try {
      return use(made[0]);
    } finally {
      call.localFree(made[0]);
    }
  };
  const inWords = (description: unknown, what: number, path: string): string => {
    const words: unknown[] = [null];
    if (!call.toWords(description, 1, what, words, [0]))
      throw failed('ConvertSecurityDescriptorToString', path);
    return taken(words[0]);
  };
  const describe = (path: string): string => {
    const into = Buffer.alloc(DESCRIPTION_BYTES);
    if (!call.getSecurity(win32.toNamespacedPath(path), OWNER_AND_LIST, into, into.length, [0]))
      throw failed('GetFileSecurity', path);
    return inWords(into, OWNER_AND_LIST, path);
  };
  const account = ((): { readonly whole: string; readonly short: string } => {
    const token: unknown[] = [null];
    if (!call.openToken(call.currentProcess(), TOKEN_QUERY, token))
      throw failed('OpenProcessToken', 'this process');
    try {
      // TOKEN_USER begins with the address of a SID that lies in the same memory.
      const user = Buffer.alloc(256);
      if (!call.tokenInformation(token[0], TOKEN_USER, user, user.length, [0]))
        throw failed('GetTokenInformation', 'this process');
      const whole = wholeSid(user.readBigUInt64LE(0));
      // A list names some accounts by two letters: this one by the same.
      return {
        whole,
        short: withDescription(`O:${whole}`, (made) => inWords(made, 1, whole)).slice('O:'.length),
      };
    } finally {
      call.closeHandle(token[0]);
    }
  })();
  /** SECURITY_ATTRIBUTES: its size, the description's address, not inherited by child processes. */
  const withSecurity = <T>(use: (security: Buffer) => T): T =>
    withDescription(closedList(account.short), (description) => {
      const security = Buffer.alloc(24);
      security.writeUInt32LE(security.length, 0);
      security.writeBigUInt64LE(BigInt(description as bigint), 8);
      return use(security);
    });

  const isUser = (sid: string): boolean =>
    withSid(sid, (pointer) => {
      const kind = [0];
      const [name, domain] = [Buffer.alloc(1024), Buffer.alloc(1024)];
      return (
        call.lookUp(null, pointer, name, [512], domain, [512], kind) !== 0 &&
        kind[0] === SID_OF_A_USER
      );
    });
  const letIn = (path: string): readonly Stranger[] =>
    strangersIn(describe(path), account.short).filter(
      ({ sid, by }) => !(by === 'explicit' && isUser(sid)),
    );

  return {
    makePrivateFile(path) {
      const handle = withSecurity((security) =>
        call.createFile(
          win32.toNamespacedPath(path),
          GENERIC_WRITE,
          0,
          security,
          CREATE_NEW,
          0x80,
          null,
        ),
      );
      if (isInvalid(handle)) throw failed('CreateFile', path);
      call.closeHandle(handle);
    },
    makePrivateFolder(path) {
      if (
        withSecurity((security) => call.createFolder(win32.toNamespacedPath(path), security)) === 0
      )
        throw failed('CreateDirectory', path);
    },
    close(path) {
      const done = withDescription(closedList(account.short), (list) =>
        call.setSecurity(win32.toNamespacedPath(path), PROTECTED_LIST, list),
      );
      if (done === 0) throw failed('SetFileSecurity', path);
    },
    strangers(path) {
      const strangers = letIn(path).map(({ sid, by }) => ({
        sid: withSid(sid, wholeSid),
        by,
        short: sid,
      }));
      if (strangers.length === 0) return undefined;
      return {
        names: strangers.map(({ short, sid }) =>
          short === sid ? sid : `${wellKnown[short] ?? short} (${sid})`,
        ),
        owned: strangers.some(({ by }) => by === 'owner'),
        command: closingCommand(path, account.whole, strangers),
      };
    },
    nameOnDisk(path) {
      const found = Buffer.alloc(FIND_DATA_BYTES);
      return new Promise((resolve, reject) => {
        call.findFirst.async(
          win32.toNamespacedPath(path),
          found,
          (error: unknown, search: unknown) => {
            if (error !== null && error !== undefined) return reject(error);
            if (isInvalid(search)) return resolve(undefined);
            call.findClose(search);
            const name = found.toString('utf16le', FIND_DATA_NAME);
            resolve(name.slice(0, name.indexOf('\0')));
          },
        );
      });
    },
    attributes(path) {
      const attributes = Number(call.attributes(win32.toNamespacedPath(path)));
      if (attributes === INVALID) throw failed('GetFileAttributes', path);
      return attributes;
    },
    reparseTag(path) {
      const into = Buffer.alloc(FIND_DATA_BYTES);
      const handle = call.findFirst(win32.toNamespacedPath(path), into);
      if (isInvalid(handle)) throw failed('FindFirstFile', path);
      call.findClose(handle);
      return (into.readUInt32LE(0) & REPARSE_POINT) === 0 ? 0 : into.readUInt32LE(FIND_DATA_TAG);
    },
    streams(path) {
      // WIN32_FIND_STREAM_DATA: a size, and at 8 a name such as ":notes:$DATA", of which the
      // content's own is "::$DATA".
      const into = Buffer.alloc(600);
      const handle = call.findFirstStream(win32.toNamespacedPath(path), 0, into, 0);
      if (isInvalid(handle)) return [];
      const names: string[] = [];
      do {
        const [name = ''] = into.toString('utf16le', 8).split('\0');
        const [, stream = ''] = name.split(':');
        if (stream !== '') names.push(stream);
      } while (call.findNextStream(handle, into) !== 0);
      call.findClose(handle);
      return names;
    },
    isNetworkDrive(letter) {
      return Number(call.driveType(`${letter}\\`)) === DRIVE_REMOTE;
    },
    setAttributes(path, attributes) {
      if (call.setAttributes(win32.toNamespacedPath(path), attributes) === 0)
        throw failed('SetFileAttributes', path);
    },
  };
}

/** INVALID_HANDLE_VALUE is -1, as an address. */
function isInvalid(handle: unknown): boolean {
  return BigInt.asIntN(64, BigInt(handle as bigint)) === -1n;
}

/** The common names of the accounts that SDDL names by two letters. */
const wellKnown: Readonly<Record<string, string>> = {
  WD: 'Everyone',
  BU: 'Users',
  AU: 'Authenticated Users',
  IU: 'INTERACTIVE',
  NU: 'NETWORK',
  BG: 'Guests',
  AN: 'ANONYMOUS',
  PU: 'Power Users',
  DU: 'Domain Users',
  DG: 'Domain Guests',
  DC: 'Domain Computers',
  LS: 'LOCAL SERVICE',
  NS: 'NETWORK SERVICE',
  LA: 'Administrator',
};
