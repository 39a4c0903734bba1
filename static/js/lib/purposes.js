/** Whether a purpose is granted or a service may act; "any" stands for whichever purpose. */
export const mayAct = (name, { granted, services }) => (name === "any"
  ? granted.length > 0
  : name === "necessary" || granted.includes(name) || services.includes(name));
