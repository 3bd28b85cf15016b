import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import { defineConfig } from "eslint/config";
import typescript from "typescript-eslint";

export default defineConfig([
  { ignores: ["**/*.js", "**/*.mjs", "firstlight_lab/labextension", "lib", "node_modules", "dist"] },
  js.configs.recommended,
  typescript.configs.strictTypeChecked,
  {
    files: ["**/*.ts", "**/*.tsx"],
    languageOptions: { parserOptions: { project: "tsconfig.test.json", tsconfigRootDir: import.meta.dirname } },
    plugins: { "react-hooks": hooks },
    rules: {
      ...hooks.configs.recommended.rules,
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "no-console": ["error", { allow: ["warn"] }],
    },
  },
  // Every word that the machine tells goes onto the page as text.
  {
    files: ["src/**/*.ts", "src/**/*.tsx"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Texts of the state are text nodes." },
        { selector: "MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML)$/]", message: "Texts of the state are text nodes." },
        { selector: "NewExpression[callee.name='EventSource']", message: "Refused under JupyterHub: read the stream with ServerConnection." },
      ],
    },
  },
  {
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-floating-promises": "off",
      // `assert.equal` narrows what it compares.
      "@typescript-eslint/no-unnecessary-condition": "off",
    },
  },
]);
