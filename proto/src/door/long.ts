/**
 * Hands Long to protobufjs, which would else use inexact numbers where it cannot find it by itself.
 * Import for its effect.
 */
import Long from 'long';
import protobuf from 'protobufjs/minimal.js';

protobuf.util.Long = Long;
protobuf.configure();
