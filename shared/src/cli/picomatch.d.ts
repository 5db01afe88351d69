// picomatch ships no types; this is the part that glob.ts uses.
declare module 'picomatch' {
  interface Options {
    dot?: boolean;
    nocase?: boolean;
    strictBrackets?: boolean;
    windows?: boolean;
  }
  function picomatch(pattern: string, options?: Options): (text: string) => boolean;
  export default picomatch;
}
