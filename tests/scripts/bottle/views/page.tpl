% rebase("base.tpl", title="Page")
<p>{{name}}</p>
