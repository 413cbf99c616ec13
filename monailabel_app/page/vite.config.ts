import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: { target: "es2023", modulePreload: false, assetsInlineLimit: 0, chunkSizeWarningLimit: 1000 },
  test: { include: ["tests/*.test.ts"] },
} as never);
