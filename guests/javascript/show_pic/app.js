// Shows a picture: the server sends it, from the files that it was granted with `--files guests/show_pic`.

export function application(env) {
  return [200, { "content-type": "image/jpeg" }, { file: "pic.jpg" }];
}
