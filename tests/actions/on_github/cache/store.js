// Where a cache is kept: a folder for each key, and the path it was of.
const path = require("path");

const folder = path.join(process.env.GITHUB_STAND_IN, "caches");
const input = (name) => process.env[`INPUT_${name.toUpperCase()}`] || "";
module.exports = { folder, input, of: (key) => path.join(folder, encodeURIComponent(key)) };
