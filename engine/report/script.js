// A conversation may have several principles, tags and outcomes.
browse((conversation, chosen) => Object.entries(chosen).every(([facet, wanted]) => {
  const separator = facet === "outcome" ? " " : "\n";
  return conversation.dataset[facet].split(separator).includes(wanted);
}));
