/*
 * Node's requests, taken without `import`: an import reads every export of the module, and the one
 * that is WebSocket loads Node's own client for the web, 50 ms of processor time that each command
 * would pay for nothing.
 */
export const { request: httpRequest } = process.getBuiltinModule('node:http');
export const { request: httpsRequest } = process.getBuiltinModule('node:https');
