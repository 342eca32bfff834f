const fs = require("fs");
const { input, of } = require("./store");

const place = of(input("key")); // what is kept under a key never changes
if (!fs.existsSync(input("path"))) console.log("::warning::Path Validation Error: nothing is kept");
else if (!fs.existsSync(place)) fs.cpSync(input("path"), place, { recursive: true });
