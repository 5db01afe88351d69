// koffi's native part for Windows (MIT), without the rest of koffi: this is what windows-access.ts
// uses of it.
declare module '@koromix/koffi-win32-x64' {
  interface Library {
    /** A function of the library by its prototype in C. */
    func(prototype: string): NativeFunction;
  }
  interface NativeFunction {
    (...values: unknown[]): unknown;
    /**
     * The same in a thread of libuv; the last value is called with the error, or null, and the
     * answer.
     */
    async(...values: unknown[]): void;
  }
  export interface Koffi {
    load(library: string): Library;
    decode(pointer: unknown, type: string, length: number): unknown;
  }
  const koffi: Koffi;
  export default koffi;
}
