// Fuzzes decoders for longer than `npm test` does. npm run fuzz -- --help
await import('../test/fuzz/main.ts');
