// Is imported while a request is answered.
export async function value() {
  return "later";
}
